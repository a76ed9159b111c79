//! While a key is used, it is in the one process that uses it for the command, the egress process or the broker, and there only in pages that are locked, so that none
//! is ever written to a swap area, and that are left out of cores, of which that process makes none anyway; nobody
//! of the same user can look into it. Where not so much memory may be locked, nothing is started.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::below::field;
use sandboxd_integration::{Case, Need, Outside};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _};

pub(crate) const CASE: Case =
    Case { rows: &["N17"], needs: &[Need::Program("/bin/bash")], outside, ..Case::NEW };

/// Looked for from outside. The word of the answer that follows it is known to stand in other memory.
const KEY: &[u8] = b"sk-locked-hunter2-0123456789";

fn outside(outside: &Outside) -> Result<()> {
    put_into_requests(outside)?;
    put_into_arguments(outside)
}

/// What the tool is told stands in no line that the broker has made; nor does the agent have anything of it.
fn put_into_arguments(outside: &Outside) -> Result<()> {
    let key = outside.dir().join("key");
    let tool = outside.tool("tool", &[], "")?;
    let edge = outside.call("tool", &tool, &[])?;
    let profile = format!(
        "name = \"agent\"\nextends = [\"builtin:base\"]\n{edge}[secrets.db]\nfrom = \"file:{}\"\n\
         placeholder = {{ call = \"tool\", tools = [\"sh\"], arguments = [\"/line\"] }}\n",
        key.display()
    );
    // The connection goes on, and with it whatever the broker has for it.
    let calls = "A=\"[ '{{secret:db}}' = no ] || printf wel''come\"; \
        { printf '{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"sh\",\"arguments\":{\"line\":\"%s\"}}}\\n' \"$A\"; \
        while :; do sleep 1; done; } | /run/sandboxd/sandboxd connect tool";
    let sandbox = outside.sandbox(&profile);
    let mut running = sandbox.command(&["/bin/bash", "-c", calls]).start()?;
    running.says("welcome")?;
    let broker = running.process_to_come(|command| command.ends_with("service broker"))?;
    let judged = looked_into(broker).and_then(|()| no_core(broker));
    running.signal(nix::sys::signal::Signal::SIGTERM)?;
    running.wait()?;
    judged
}

fn put_into_requests(outside: &Outside) -> Result<()> {
    let host = TcpListener::bind("127.0.0.1:0")?;
    let port = host.local_addr()?.port();
    std::thread::spawn(move || {
        for mut stream in host.incoming().flatten() {
            let mut head = [0; 4096];
            let length = stream.read(&mut head).unwrap_or(0);
            let knows = head.get(..length).is_some_and(|head| has(head, KEY));
            let word = if knows { "welcome" } else { "who are" };
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{word}").ok();
            // Open until the other end is.
            std::io::copy(&mut stream, &mut std::io::sink()).ok();
        }
    });
    let key = outside.dir().join("key");
    fs::write(&key, KEY)?;
    fs::set_permissions(&key, fs::Permissions::from_mode(0o400))?;
    let profile = format!(
        "extends = [\"builtin:base\"]\n[network]\nmode = \"egress\"\negress = [\"http://host.internal:{port}\"]\n\
         [secrets.model]\nfrom = \"file:{}\"\n\
         inject = {{ host = \"host.internal\", port = {port}, header = \"x-api-key\" }}\n",
        key.display()
    );
    let asks = format!(
        "exec 3<>/dev/tcp/host.internal/{port}; printf 'GET / HTTP/1.1\\r\\nHost: host.internal:{port}\\r\\n\\r\\n' >&3; \
         while read -r line <&3; do line=${{line%$'\\r'}}; [ -z \"$line\" ] && break; done; \
         read -r -N 7 line <&3; echo \"$line\"; echo over; while :; do sleep 1; done"
    );
    let mut running = outside.sandbox(&profile).command(&["/bin/bash", "-c", &asks]).start()?;
    running.says("over")?;
    ensure!(running.stdout()?.contains("welcome"), "the key was not used: {}", running.stdout()?);
    let egress = running.process_to_come(|command| command.ends_with("service egress"))?;
    let judged = looked_into(egress).and_then(|()| no_core(egress));
    running.signal(nix::sys::signal::Signal::SIGTERM)?;
    running.wait()?;
    judged
}

fn has(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}

/// Every page that the key is in.
fn looked_into(egress: i32) -> Result<()> {
    let locked: u64 = field(egress, "VmLck")?.trim_end_matches(" kB").trim().parse()?;
    ensure!(locked > 0, "no memory of it is locked");
    let smaps = fs::read_to_string(format!("/proc/{egress}/smaps"))?;
    let memory = fs::File::open(format!("/proc/{egress}/mem"))?;
    let mut found = 0;
    let mut range = (0, 0);
    for line in smaps.lines() {
        let first = line.split(' ').next().unwrap_or_default();
        if let Some((from, to)) = first.split_once('-')
            && let (Ok(from), Ok(to)) = (u64::from_str_radix(from, 16), u64::from_str_radix(to, 16))
        {
            range = (from, to);
        }
        let Some(flags) = line.strip_prefix("VmFlags:") else { continue };
        let mut bytes = vec![0; usize::try_from(range.1 - range.0)?];
        // What cannot be read so (of the kernel's own) holds nothing of a process's.
        if memory.read_exact_at(&mut bytes, range.0).is_err() || !has(&bytes, KEY) {
            continue;
        }
        found += 1;
        for flag in ["lo", "dd"] {
            ensure!(flags.split(' ').any(|one| one == flag), "the key is in {range:x?}:{flags}");
        }
    }
    ensure!(found > 0, "the key is not there at all");
    Ok(())
}

/// The kernel makes none of it: its files are root's, which is so where it is not dumpable, and its limit is one
/// that no program behind a pipe is given one with.
fn no_core(egress: i32) -> Result<()> {
    let owner = fs::metadata(format!("/proc/{egress}/mem"))?.uid();
    ensure!(owner == 0, "it is dumpable: its memory is a file of uid {owner}");
    let limits = fs::read_to_string(format!("/proc/{egress}/limits"))?;
    let core =
        limits.lines().find(|line| line.starts_with("Max core file size")).context("no limit")?;
    ensure!(core.split_whitespace().nth(4).is_some_and(|soft| matches!(soft, "0" | "1")), "{core}");
    Ok(())
}
