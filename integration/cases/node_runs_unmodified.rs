//! Node runs workers, watches files, starts children, makes keys and listens on a Unix socket; what
//! it fetches without a network fails as its programs expect.

use anyhow::{Result, ensure};
use sandboxd_integration::{By, Case, Need, Outside};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

pub(crate) const CASE: Case = Case {
    rows: &["P22"],
    needs: &[Need::Program("/usr/bin/node")],
    outside,
    by: By::Anybody,
    ..Case::NEW
};

const WORK: &str = r"
import { Worker, isMainThread, parentPort } from 'node:worker_threads';
import children from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import zlib from 'node:zlib';
import { promisify } from 'node:util';
import { fileURLToPath } from 'node:url';
import assert from 'node:assert';
import inside from 'installed';

if (isMainThread) {
  const file = fileURLToPath(import.meta.url);
  const sums = await Promise.all([1, 2, 3, 4].map(() => new Promise((done, failed) =>
    new Worker(file).on('message', done).on('error', failed))));
  assert.deepEqual(sums, Array(4).fill(499500));

  const folder = fs.mkdtempSync(os.tmpdir() + '/watched-');
  const seen = new Promise((done, failed) => {
    const late = setTimeout(() => failed(new Error('fs.watch saw nothing')), 10000);
    const watcher = fs.watch(folder, (event, name) => {
      clearTimeout(late);
      watcher.close();
      done(name);
    });
  });
  setTimeout(() => fs.writeFileSync(folder + '/new', 'x'), 50);
  assert.equal(await seen, 'new');

  assert.equal(children.execSync('echo child').toString(), 'child\n');
  assert.equal(children.spawnSync(process.execPath, ['-e', 'process.exit(3)']).status, 3);
  const own = children.fork(new URL('child.cjs', import.meta.url).pathname);
  assert.equal(await new Promise(done => own.on('message', done)), 'from the child');
  own.kill();

  const pair = await promisify(crypto.generateKeyPair)('rsa', { modulusLength: 2048 });
  assert.equal(pair.publicKey.type, 'public');
  assert.equal((await promisify(crypto.scrypt)('a', 'b', 32)).length, 32);
  assert.equal(zlib.gunzipSync(zlib.gzipSync('packed')).toString(), 'packed');
  assert.equal(inside, 'a module');
  assert.equal(os.userInfo().username, 'agent');

  const server = http.createServer((_, answer) => answer.end('heard'));
  await new Promise(done => server.listen(folder + '/socket', done));
  const heard = await new Promise((done, failed) => http.get(
    { socketPath: folder + '/socket', path: '/' },
    answer => answer.on('data', text => done(text.toString()))).on('error', failed));
  assert.equal(heard, 'heard');
  server.close();

  await assert.rejects(fetch('https://example.com'), error => error.cause.code === 'EAI_AGAIN');
  console.log('all done');
} else {
  parentPort.postMessage([...Array(1000).keys()].reduce((one, other) => one + other));
}
";

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    outside.file("ws/work.mjs", WORK)?;
    outside.file("ws/child.cjs", "process.send('from the child'); setTimeout(() => {}, 60000);")?;
    let package = "{\"name\": \"installed\", \"main\": \"index.js\"}";
    outside.file("ws/node_modules/installed/package.json", package)?;
    outside.file("ws/node_modules/installed/index.js", "module.exports = 'a module';")?;
    let tool = "#!/usr/bin/env node\nconsole.log('tool', process.argv[2]);\n";
    let tool = outside.file("ws/node_modules/.bin/tool", tool)?;
    fs::set_permissions(tool, fs::Permissions::from_mode(0o755))?;
    let sandbox = |profile: &str, words: &[&str]| {
        let sandbox = outside.bare().option(format!("--profile=builtin:{profile}"));
        sandbox.cwd(&ws).command(words).run()
    };
    for profile in ["coding-agent", "node-tool", "ci-job"] {
        let run = sandbox(profile, &["node", "work.mjs"])?;
        run.exited(0)?;
        ensure!(run.stdout == "all done\n", "{profile}: not done");
        let run = sandbox(profile, &["sh", "-c", "node_modules/.bin/tool x"])?;
        run.exited(0)?;
        ensure!(run.stdout == "tool x\n", "{profile}: the tool did not run");
    }
    let run = sandbox("node-tool", &["node", "-e", "fs.writeFileSync('new', 'x')"])?;
    run.exited(1)?;
    ensure!(run.stderr.contains("EROFS"), "not refused by the view");
    ensure!(!ws.join("new").exists(), "node-tool wrote to the folder");
    Ok(())
}
