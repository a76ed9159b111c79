//! Java compiles and runs a program with threads, a subprocess and files.

use anyhow::{Result, ensure};
use sandboxd_integration::{By, Case, Need, Outside};
use std::fs;

pub(crate) const CASE: Case = Case {
    rows: &["P22"],
    needs: &[Need::Program("/usr/bin/javac"), Need::Program("/usr/bin/java")],
    seconds: 120,
    outside,
    by: By::Anybody,
    ..Case::NEW
};

const WORK: &str = r#"
import java.nio.file.*;
import java.util.concurrent.*;
import java.util.stream.*;
public class Work {
    public static void main(String[] words) throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(4);
        System.out.println(pool.submit(() -> 42).get());
        pool.shutdown();
        System.out.println(IntStream.range(0, 1000).parallel().sum());
        Process child = new ProcessBuilder("echo", "child").redirectErrorStream(true).start();
        System.out.print(new String(child.getInputStream().readAllBytes()));
        Files.writeString(Path.of("made"), System.getProperty("user.home"));
        Path temporary = Files.createTempFile("a", "b");
        Files.delete(temporary);
        System.gc();
    }
}
"#;

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    outside.file("ws/Work.java", WORK)?;
    for words in ["javac Work.java && java Work", "java Work.java"] {
        let sandbox = outside.bare().option("--profile=builtin:coding-agent");
        let run = sandbox.cwd(&ws).command(&["sh", "-c", words]).run()?;
        run.exited(0)?;
        ensure!(run.stdout == "42\n499500\nchild\n", "{words}: says {:?}", run.stdout);
        let made = fs::read_to_string(ws.join("made"))?;
        ensure!(made == "/home/agent", "{words}: home is {made}");
        fs::remove_file(ws.join("made"))?;
    }
    Ok(())
}
