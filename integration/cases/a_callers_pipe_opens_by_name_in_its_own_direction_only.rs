//! A script writes to `/dev/stderr` and reads `/dev/stdin` where they are its caller's pipes; it
//! reads nothing back from what others write there, another sandbox at the other end or not, and a FIFO in a
//! folder keeps its mode. So does the server of an MCP client, which has its client's standard error.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{Case, Outside};
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

pub(crate) const CASE: Case = Case { rows: &["F35"], outside, ..Case::NEW };

const SCRIPT: &str = "
cat /dev/stdin
echo to out > /dev/stdout
echo to err > /dev/stderr
timeout 1 head -c 1 < /dev/stdout && echo read stdout
timeout 1 head -c 1 < /dev/stderr && echo read stderr
(echo x > /dev/stdin) && echo wrote stdin
true";

/// What is for the next is there for a while, and taken by nobody who has no right to it.
const WRITER: &str = "
echo for the next
i=0
while [ $i -lt 20 ]; do
    timeout 0.1 head -c 1 < /dev/stdout > /dev/null 2>&1 && echo read back >&2
    sleep 0.1
    i=$((i+1))
done
echo by name > /dev/stdout";
const READER: &str = "
sleep 1.5
(echo x > /dev/stdin) 2>/dev/null && echo wrote stdin
cat /dev/stdin";

/// In the shell, where `run` is the product.
const BETWEEN: [(&str, &str); 3] = [
    ("run \"$WRITER\" | run \"$READER\"", "for the next\nby name\n"),
    // One after the other: neither takes more than it reads.
    (
        "printf '1\\n2\\n3\\n' | { run 'read x < /dev/stdin; echo $x'; run 'cat /dev/stdin'; }",
        "1\n2\n3\n",
    ),
    // Both at once, with a sandbox that writes: whoever comes second has a pipe of its own, and so what it writes
    // there is in nobody else's. Which of the two has what the writer says is a matter of time.
    (
        "run 'sleep 1; echo late' | { exec 3<&0; run 'exec sleep 4' <&3 & sleep 2; run 'echo x > /dev/stdin' <&3; wait; grep -v late <&3; }",
        "",
    ),
];

fn between_sandboxes(outside: &Outside) -> Result<()> {
    let product = std::env::current_exe()?.with_file_name("sandboxd");
    for (pipeline, wanted) in BETWEEN {
        let text = format!(
            "run() {{ {product:?} run --profile=builtin:coding-agent -- sh -c \"$1\"; }}; {pipeline}"
        );
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &text]).env("WRITER", WRITER).env("READER", READER);
        let ended = command.current_dir(outside.dir().join("ws")).stdin(Stdio::null()).output()?;
        let [said, told] = [&ended.stdout, &ended.stderr].map(|text| String::from_utf8_lossy(text));
        ensure!(said == wanted, "{pipeline}: {said:?}: {told}");
        ensure!(!told.contains("read back"), "{pipeline}: {told}");
    }
    Ok(())
}

fn outside(outside: &Outside) -> Result<()> {
    let mut product = std::env::current_exe()?;
    product.set_file_name("sandboxd");
    let sandboxd = |script: &str| {
        let mut command = Command::new(&product);
        command.args(["run", "--profile=builtin:coding-agent", "--", "sh", "-c", script]);
        command.current_dir(outside.dir().join("ws"));
        command
    };
    outside.workspace()?;
    let mut child = sandboxd(SCRIPT)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    child.stdin.take().context("no pipe")?.write_all(b"from the caller\n")?;
    let ended = child.wait_with_output()?;
    let [said, refused] = [&ended.stdout, &ended.stderr].map(|text| String::from_utf8_lossy(text));
    ensure!(ended.status.success(), "{}: {refused}", ended.status);
    ensure!(said == "from the caller\nto out\n", "standard output holds {said:?}");
    ensure!(refused.starts_with("to err\n"), "standard error holds {refused:?}");
    let refusals = refused.matches("ermission denied").count();
    ensure!(refusals == 3, "{refusals} of 3 were refused: {refused}");

    between_sandboxes(outside)?;

    let fifo = outside.dir().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::from_bits_truncate(0o600))?;
    let held = File::options().read(true).write(true).open(&fifo)?;
    let ended = sandboxd("echo x > /dev/stdout").stdout(held).output()?;
    ensure!(!ended.status.success(), "it opened a FIFO that is its caller's alone");
    let mode = fs::metadata(&fifo)?.permissions().mode();
    ensure!(mode & 0o777 == 0o600, "the FIFO in the folder has mode {mode:o}");
    a_server(outside, &product)
}

/// It says something, and tries to read what others say there, before its client is gone.
fn a_server(outside: &Outside, product: &Path) -> Result<()> {
    let script = "echo to err > /dev/stderr; timeout 1 head -c 1 < /dev/stderr && echo read stderr >&2; cat > /dev/null";
    let profile = outside.dir().join("server.toml");
    let text = format!(
        "name = \"server\"\nextends = [\"builtin:mcp-server\"]\n[command]\nexec = [\"/bin/sh\", \"-c\", {script:?}]\n\
         [files]\nexecute = [\"/usr\"]\n[serve]\ntools = [\"none\"]\n"
    );
    fs::write(&profile, text)?;
    let mut command = Command::new(product);
    command.args(["mcp", "-p"]).arg(&profile).current_dir(outside.dir().join("ws"));
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let client = child.stdin.take().context("no pipe")?;
    let mut heard = String::new();
    let mut lines = BufReader::new(child.stderr.take().context("no pipe")?);
    while !heard.contains("ermission denied") {
        ensure!(lines.read_line(&mut heard)? > 0, "its standard error holds {heard:?}");
        ensure!(!heard.contains("read stderr"), "it read what others write there: {heard:?}");
    }
    drop(client);
    lines.read_to_string(&mut heard)?;
    child.wait()?;
    ensure!(heard.contains("to err\n"), "its standard error holds {heard:?}");
    ensure!(!heard.contains("read stderr"), "it read what others write there: {heard:?}");
    Ok(())
}
