//! Inside a container, too, a shell and its tools, git, Python and Node do their work in a folder that
//! they may write, and what they make or change there that the host may execute is named at the end.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{Case, Container, Need, Outside, Run};
use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

pub(crate) const CASE: Case = Case {
    rows: &["F13", "F18", "P20", "P21", "P22"],
    needs: &[
        Need::Landlock(6),
        Need::Program("/usr/bin/git"),
        Need::Program("/usr/bin/node"),
        Need::Program("/usr/bin/python3"),
    ],
    seconds: 240,
    outside,
    ..Case::NEW
};

const SHELL: &str = r#"set -euo pipefail
mkdir -p deep/er && printf '%s\n' c a b > deep/er/list
[ "$(sort < deep/er/list | tr -d '\n')" = abc ]
diff <(sort deep/er/list) - <<< $'a\nb\nc'
tar -czf all.tgz deep && mkdir out && tar -xzf all.tgz -C out
cmp deep/er/list out/deep/er/list
chmod 700 out && touch -d 2001-01-01 out && cp -a out again
[ "$(stat -c %a%Y again)" = "700$(date -d 2001-01-01 +%s)" ]
scratch=$(mktemp -d) && echo x > "$scratch/file" && mv "$scratch/file" moved
echo 'echo from a script' > "$HOME/script" && sh "$HOME/script"
printf '#!/bin/sh\necho executed\n' > tool && chmod +x tool && ./tool
(sleep 0.01; echo later) & wait $!
set -m; sleep 100 & kill %1; wait %1 || [ $? = 143 ]
[ "$(id -u)" = "$1" ]
find . -name list -print0 | xargs -0 ls -l > /dev/null
if cat /etc/shadow 2> /dev/null || ls /root 2> /dev/null || echo x > /dev/tcp/127.0.0.1/22; then exit 9; fi
echo all done
"#;

const GIT: &str = r"set -eu
git init -q -b main && git config user.name A && git config user.email a@example.org
printf '#!/bin/sh\necho hook >> hooked\n' > .git/hooks/pre-commit && chmod +x .git/hooks/pre-commit
echo hooked > .gitignore && echo one > a && git add . && git commit -qm first
git switch -qc side && echo side > b && git add b && git commit -qm side
git switch -q main && echo two >> a && git commit -qam second && git rebase -q main side
git switch -q main && git merge -q --no-ff -m merged side && echo dirty >> a && git stash -q
git stash pop -q && git gc -q && git fsck --strict --no-dangling && git clone -q . ../clone
[ $(wc -l < hooked) -ge 3 ]
git rev-list --count HEAD
";

const PYTHON: &str = r#"
import asyncio, concurrent.futures, ctypes, os, sqlite3, ssl, subprocess, sys, tempfile
assert sys.prefix != sys.base_prefix
ssl.create_default_context()
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    assert sum(pool.map(lambda n: n * n, range(10))) == 285
with tempfile.TemporaryDirectory() as folder:
    with sqlite3.connect(os.path.join(folder, "t.db")) as db:
        db.execute("pragma journal_mode = wal")
        db.execute("create table t (a)")
        db.execute("insert into t values (42)")
        assert db.execute("select a from t").fetchone() == (42,)
assert subprocess.run(["sh", "-c", "echo a | tr a b"], capture_output=True).stdout == b"b\n"
assert ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 7)() == 7
async def overlapping():
    child = await asyncio.create_subprocess_exec("cat", stdin=-1, stdout=-1)
    assert (await child.communicate(b"x"))[0] == b"x"
    try:
        await asyncio.open_connection("127.0.0.1", 22)
    except OSError:
        return
    sys.exit("connected")
asyncio.run(overlapping())
print("all done")
"#;

const SHARING: &str = "
import multiprocessing as m
with m.get_context('fork').Pool(2) as pool:
    print(sum(pool.map(abs, range(-9, 1))))
";

const NODE: &str = r"
import { Worker, isMainThread, parentPort } from 'node:worker_threads';
import children from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import zlib from 'node:zlib';
import { fileURLToPath } from 'node:url';
import assert from 'node:assert';

if (isMainThread) {
  const file = fileURLToPath(import.meta.url);
  const sums = await Promise.all([1, 2].map(() => new Promise((done, failed) =>
    new Worker(file).on('message', done).on('error', failed))));
  assert.deepEqual(sums, [499500, 499500]);
  const folder = fs.mkdtempSync(os.tmpdir() + '/made-');
  fs.writeFileSync(folder + '/new', 'x');
  fs.renameSync(folder + '/new', folder + '/other');
  assert.equal(children.execSync('echo child').toString(), 'child\n');
  assert.equal(children.spawnSync(process.execPath, ['-e', 'process.exit(3)']).status, 3);
  assert.equal(crypto.generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.type, 'public');
  assert.equal(zlib.gunzipSync(zlib.gzipSync('packed')).toString(), 'packed');
  await assert.rejects(fetch('http://127.0.0.1:22'));
  console.log('all done');
} else {
  parentPort.postMessage([...Array(1000).keys()].reduce((one, other) => one + other));
}
";

fn outside(outside: &Outside) -> Result<()> {
    for container in [outside.user(), Container::Root] {
        let work = Work { outside, container };
        work.shell().with_context(|| format!("{container:?}: shell"))?;
        work.git().with_context(|| format!("{container:?}: git"))?;
        work.python().with_context(|| format!("{container:?}: python"))?;
        work.node().with_context(|| format!("{container:?}: node"))?;
    }
    Ok(())
}

struct Work<'a> {
    outside: &'a Outside,
    container: Container,
}

impl Work<'_> {
    /// A folder of the container's user.
    fn folder(&self, name: &str) -> Result<PathBuf> {
        let uid = self.container.uid();
        let folder = self.outside.dir().join(format!("{name}-{uid}"));
        fs::create_dir(&folder)?;
        chown(&folder, Some(uid), Some(uid))?;
        Ok(folder)
    }

    fn run(&self, ws: &Path, options: &[&str], words: &[&str]) -> Result<Run> {
        let sandbox = self.outside.bare().container(self.container);
        let sandbox = sandbox.option("--profile=builtin:container");
        let sandbox = sandbox.option("--write=.").option("--execute=.");
        let sandbox = options.iter().fold(sandbox, |sandbox, option| sandbox.option(*option));
        let run = sandbox.cwd(ws).command(words).run()?;
        run.exited(0)?;
        Ok(run)
    }

    fn shell(&self) -> Result<()> {
        let ws = self.folder("shell")?;
        let uid = self.container.uid().to_string();
        let run = self.run(&ws, &[], &["bash", "-c", SHELL, "bash", &uid])?;
        ensure!(run.stdout == "from a script\nexecuted\nlater\nall done\n", "not done");
        Ok(())
    }

    fn git(&self) -> Result<()> {
        let ws = self.folder("git")?;
        let work = format!("mkdir repository && cd repository\n{GIT}");
        let run = self.run(&ws, &[], &["sh", "-c", &work])?;
        ensure!(run.stdout == "4\n", "another history");
        let hook = "repository/.git/hooks";
        ensure!(run.stderr.contains(hook), "new hooks are not named");
        // Nothing keeps what is there either; it is named where it changed, and only there.
        let run = self.run(&ws, &[], &["git", "-C", "repository", "status", "--short"])?;
        ensure!(!run.stderr.contains(hook), "hooks that nobody touched are named");
        let change = "echo evil >> repository/.git/hooks/pre-commit";
        let run = self.run(&ws, &[], &["sh", "-c", change])?;
        ensure!(run.stderr.contains(hook), "a changed hook is not named");
        Ok(())
    }

    fn python(&self) -> Result<()> {
        let ws = self.folder("python")?;
        let make = "/usr/bin/python3 -m venv .venv && .venv/bin/pip --version";
        let run = self.run(&ws, &[], &["sh", "-c", make])?;
        ensure!(run.stdout.contains("pip "), "pip does not run");
        let run = self.run(&ws, &[], &[".venv/bin/python", "-c", PYTHON])?;
        ensure!(run.stdout == "all done\n", "not done");
        let memory = "--set=files.write=[{path=\"/dev/shm\",reason=\"multiprocessing\"}]";
        let run = self.run(&ws, &[memory], &["python3", "-c", SHARING])?;
        ensure!(run.stdout == "45\n", "another sum");
        Ok(())
    }

    fn node(&self) -> Result<()> {
        let ws = self.folder("node")?;
        fs::write(ws.join("work.mjs"), NODE)?;
        let run = self.run(&ws, &[], &["node", "work.mjs"])?;
        ensure!(run.stdout == "all done\n", "not done");
        Ok(())
    }
}
