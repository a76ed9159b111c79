//! Archives keep modes, links and times, `find` sees a whole tree, and `SQLite` locks and journals,
//! in a job of continuous integration.

use anyhow::{Result, ensure};
use sandboxd_integration::{By, Case, Need, Outside};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

pub(crate) const CASE: Case = Case {
    rows: &["F13"],
    needs: &[Need::Program("/usr/bin/sqlite3")],
    outside,
    by: By::Anybody,
    ..Case::NEW
};

const WORK: &str = r#"set -eu
mkdir -p tree/a/b
echo text > tree/a/b/file
ln tree/a/b/file tree/hard
ln -s a/b/file tree/soft
ln -s /nowhere tree/dangling
chmod 750 tree/a
touch -d '2001-02-03 04:05:06' tree/a/b/file
tar -cpf tree.tar tree
mkdir again
tar -xpf tree.tar -C again
find again -mindepth 1 -printf '%y %m %n %l %p\n' | sort > seen
find tree -mindepth 1 -printf '%y %m %n %l again/%p\n' | sed 's,^d 7,d 7,' | sort > wanted
find again -newermt 2001-02-03 ! -newermt 2001-02-04 -type f | wc -l > old
sqlite3 db 'pragma journal_mode = wal; create table t (a);' > mode
for number in 1 2 3 4; do
    sqlite3 -cmd '.timeout 20000' db "insert into t values ($number);" &
done
wait
sqlite3 db 'select sum(a) from t;' > sum
sqlite3 rollback 'create table t (a); begin; insert into t values (1); commit; vacuum;'
"#;

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    outside.file("ws/work.sh", WORK)?;
    let sandbox = outside.bare().option("--profile=builtin:ci-job");
    sandbox.cwd(&ws).command(&["bash", "work.sh"]).run()?.exited(0)?;
    let text = |name: &str| fs::read_to_string(ws.join(name));
    ensure!(text("mode")? == "wal\n" && text("sum")? == "10\n", "SQLite lost something");
    ensure!(text("old")? == "2\n", "times were not kept");
    let seen = text("seen")?;
    ensure!(seen.contains("l 777 1 /nowhere again/tree/dangling"), "{seen}");
    ensure!(text("wanted")?.lines().all(|line| seen.contains(line)), "{seen}");
    let mode = fs::metadata(ws.join("again/tree/a"))?.permissions().mode();
    ensure!(mode & 0o7777 == 0o750, "mode {mode:o}");
    let judge = Command::new("/usr/bin/sqlite3")
        .arg(ws.join("db"))
        .arg("pragma integrity_check")
        .output()?;
    ensure!(judge.stdout == b"ok\n", "the observer's SQLite finds it damaged");
    Ok(())
}
