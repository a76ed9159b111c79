//! Python makes a virtual environment and runs from it, with pools of processes, threads, TLS
//! contexts, `SQLite`, subprocesses and asyncio; without a network it says so and goes on.

use anyhow::{Result, ensure};
use sandboxd_integration::{By, Case, Need, Outside};
use std::fs;

pub(crate) const CASE: Case = Case {
    rows: &["P22"],
    needs: &[Need::Program("/usr/bin/python3")],
    outside,
    by: By::Anybody,
    ..Case::NEW
};

const WORK: &str = r#"
import asyncio, concurrent.futures, ctypes, getpass, multiprocessing, os, socket, sqlite3, ssl
import subprocess, sys, tempfile, threading, time, zoneinfo
from multiprocessing import shared_memory

def square(number):
    return number * number

async def overlapping():
    child = await asyncio.create_subprocess_exec("cat", stdin=-1, stdout=-1)
    assert (await child.communicate(b"x"))[0] == b"x"
    await asyncio.gather(*(asyncio.sleep(0.01) for _ in range(100)))
    await asyncio.to_thread(time.sleep, 0.01)
    try:
        await asyncio.open_connection("example.com", 443)
    except OSError as error:
        print("no network:", error)
    else:
        sys.exit("connected")

def main():
    assert sys.prefix != sys.base_prefix, "not the virtual environment"
    assert ssl.create_default_context().cert_store_stats()["x509_ca"] > 10
    for how in ("fork", "spawn", "forkserver"):
        with multiprocessing.get_context(how).Pool(2) as pool:
            assert sum(pool.map(square, range(10))) == 285, how
    with multiprocessing.Manager() as manager:
        manager.dict()["a"] = 1
    memory = shared_memory.SharedMemory(create=True, size=100)
    memory.buf[0] = 7
    memory.close()
    memory.unlink()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(square, range(10))) == 285
    with tempfile.TemporaryDirectory() as folder:
        with sqlite3.connect(os.path.join(folder, "t.db")) as db:
            db.execute("pragma journal_mode = wal")
            db.execute("create table t (a)")
            db.execute("insert into t values (42)")
            assert db.execute("select a from t").fetchone() == (42,)
    found = subprocess.run(["sh", "-c", "echo a | tr a b"], capture_output=True, text=True)
    assert found.stdout == "b\n"
    assert subprocess.run("exit 3", shell=True).returncode == 3
    assert ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 7)() == 7
    assert getpass.getuser() == "agent" and os.path.expanduser("~") == "/home/agent"
    zoneinfo.ZoneInfo("Europe/Berlin")
    asyncio.run(overlapping())
    print("all done")

if __name__ == "__main__":
    main()
"#;

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    outside.file("ws/work.py", WORK)?;
    let sandbox = |profile: &str, words: &[&str]| {
        let sandbox = outside.bare().option(format!("--profile=builtin:{profile}"));
        sandbox.cwd(&ws).command(words).run()
    };
    let make = "/usr/bin/python3 -m venv .venv && .venv/bin/pip --version";
    let run = sandbox("coding-agent", &["sh", "-c", make])?;
    run.exited(0)?;
    ensure!(run.stdout.contains("pip "), "pip does not run");
    for profile in ["coding-agent", "python-tool", "ci-job"] {
        let run = sandbox(profile, &[".venv/bin/python", "work.py"])?;
        run.exited(0)?;
        ensure!(run.stdout.ends_with("all done\n"), "{profile}: not done");
    }
    let run = sandbox("coding-agent", &[".venv/bin/pip", "download", "--retries=0", "six"])?;
    run.exited(1)?;
    ensure!(run.stderr.contains("No matching distribution"), "pip fails otherwise");

    let write = "open('new', 'w')";
    let run = sandbox("python-tool", &[".venv/bin/python", "-c", write])?;
    run.exited(1)?;
    let left = fs::read_dir(&ws)?.flatten().map(|entry| entry.file_name());
    ensure!(!left.into_iter().any(|name| name == "new"), "python-tool wrote to the folder");
    Ok(())
}
