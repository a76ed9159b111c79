//! What a coding agent builds with make and gcc runs: from the workspace, from `/tmp` and from its
//! home. Where no folder may be both written and executed, nothing that is written runs.

use anyhow::{Result, ensure};
use sandboxd_integration::{By, Case, Need, Outside};

pub(crate) const CASE: Case = Case {
    rows: &["P22", "F31"],
    needs: &[Need::Program("/usr/bin/gcc"), Need::Program("/usr/bin/make")],
    outside,
    by: By::Anybody,
    ..Case::NEW
};

const SOURCE: &str = r#"
#include <dlfcn.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
static void *root(void *number) { printf("%.0f\n", sqrt(*(double *)number)); return 0; }
int main(void) {
    double number = 1764;
    pthread_t thread;
    if (pthread_create(&thread, 0, root, &number) || pthread_join(thread, 0)) return 1;
    int (*answer)(void) = dlsym(dlopen("./libanswer.so", RTLD_NOW), "answer");
    printf("%d\n", answer());
    return 0;
}
"#;

const MAKEFILE: &str = "\
all: built libanswer.so
built: built.c
\tgcc -O2 -Wall -flto -pipe -o $@ $< -lm -pthread -ldl
libanswer.so: answer.c
\tgcc -shared -fPIC -o $@ $<
";

const COPIES: &str = "set -e
mkdir ~/bin
for folder in /tmp ~/bin; do
    cp built $folder/copy
    $folder/copy
    printf '#!/bin/sh\\necho script\\n' > $folder/script
    chmod +x $folder/script
    $folder/script
done";

const REFUSED: &str = "
for folder in . /tmp ~; do
    cp /usr/bin/true $folder/copy
    $folder/copy && echo ran
    LD_PRELOAD=$folder/copy /usr/bin/true
done
sh script";

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    outside.file("ws/built.c", SOURCE)?;
    outside.file("ws/answer.c", "int answer(void) { return 43; }\n")?;
    outside.file("ws/Makefile", MAKEFILE)?;
    outside.file("ws/script", "echo a script for sh\n")?;
    for profile in ["coding-agent", "ci-job"] {
        let sandbox = |words: &[&str]| {
            let sandbox = outside.bare().option(format!("--profile=builtin:{profile}"));
            sandbox.cwd(&ws).command(words).run()
        };
        let run = sandbox(&["sh", "-c", "make -s clean all 2>&1; make -s -B -j2 && ./built"])?;
        run.exited(0)?;
        ensure!(run.stdout.ends_with("42\n43\n"), "{profile}: what was built does not run");
        let run = sandbox(&["sh", "-c", COPIES])?;
        run.exited(0)?;
        ensure!(run.stdout == "42\n43\nscript\n42\n43\nscript\n", "{profile}: copies do not run");
    }
    let profile = format!("extends = [\"builtin:base\"]\n[files]\nwrite = [{ws:?}]\n");
    let sandbox = outside.sandbox(&profile).option("--quiet").cwd(&ws);
    let run = sandbox.command(&["sh", "-c", REFUSED]).run()?;
    run.exited(0)?;
    ensure!(run.stdout == "a script for sh\n", "something written was executed");
    let refusals = run.stderr.matches("ermission denied").count();
    ensure!(refusals == 3, "{refusals} refusals for 3 places");
    let mapped = run.stderr.matches("failed to map segment").count();
    ensure!(mapped == 3, "{mapped} refusals to map for 3 places");
    Ok(())
}
