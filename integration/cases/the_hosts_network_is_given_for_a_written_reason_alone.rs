//! The host's network is given only where the profile asks for it and says why; entries that nothing would
//! hold to are told as a problem, and never read as leave.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{By, Case, Inside, Outside};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

pub(crate) const CASE: Case = Case {
    rows: &["N01", "N18", "E17", "K06"],
    outside,
    probes: &[("reach", reach), ("serve", serve)],
    by: By::Anybody,
    ..Case::NEW
};

fn outside(outside: &Outside) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let port = listener.local_addr()?.port().to_string();
    let sandbox = |network: &str| {
        let profile = format!("extends = [\"builtin:base\"]\n[network]\n{network}\n");
        outside.sandbox(&profile)
    };
    for (network, words) in [
        ("mode = \"host\"", "network.mode"),
        ("mode = \"host\"\nreason = \"\"", "network.reason"),
        ("mode = \"egress\"", "names no host"),
        ("mode = \"egress\"\negress = []", "names no host"),
        ("mode = \"egress\"\negress = [\"127.0.0.1:443\"]", "network.egress"),
        ("mode = \"host\"\nreason = \"x\"\negress = [\"api.example.com:443\"]", "network.egress"),
        ("egress = [\"api.example.com:443\"]", "network.egress"),
        ("mode = \"all\"", "network.mode"),
        ("mode = true", "network.mode"),
    ] {
        let run = sandbox(network).probe("reach", &[&port]).run()?;
        run.has_problem(&["profile.toml:", words]).with_context(|| network.to_owned())?;
    }
    ensure!(listener.accept().is_err(), "somebody connected while it was refused");

    // A reason without the mode is no leave, and neither is silence.
    for network in ["", "mode = \"none\"", "reason = \"it would be nice\""] {
        sandbox(network).probe("reach", &[&port]).run()?.ran()?.all_refused()?;
        ensure!(listener.accept().is_err(), "somebody connected with {network:?}");
    }

    let run = sandbox("mode = \"host\"\nreason = \"it serves the tests\"")
        .probe("reach", &[&port])
        .run()?;
    run.ran()?.allowed("connect")?;
    let (mut peer, _) = listener.accept().context("nobody connected")?;
    let mut heard = String::new();
    peer.set_nonblocking(false)?;
    peer.read_to_string(&mut heard)?;
    ensure!(heard == "hello", "the listener heard {heard:?}");
    // It is the host's network, and the receipt does not say otherwise.
    let host = fs::read_link("/proc/self/ns/net")?;
    ensure!(run.fact("namespace")? == host.to_string_lossy(), "{}", run.fact("namespace")?);
    let receipt = run.receipt.as_ref().context("no receipt")?;
    let layers =
        receipt.get("layers").and_then(serde_json::Value::as_array).context("no layers")?;
    let layer = layers.iter().find(|layer| {
        layer.get("name").and_then(serde_json::Value::as_str) == Some("network-namespace")
    });
    let state = layer.and_then(|layer| layer.get("state")?.as_str()).context("no such layer")?;
    ensure!(state != "enforced", "the receipt says that the network namespace is its own");
    served(outside)
}

/// With the host's network a port can be listened on, and the host gets there.
fn served(outside: &Outside) -> Result<()> {
    let profile = "extends = [\"builtin:base\"]\n[network]\nmode = \"host\"\nreason = \"it serves the tests\"\n";
    let mut running = outside.sandbox(profile).probe("serve", &[]).start()?;
    running.says("port")?;
    let said = running.stdout()?;
    let port = said.split("\"value\":\"").nth(1).and_then(|rest| rest.split('"').next());
    let port: u16 = port.context("no port is told")?.parse()?;
    TcpStream::connect(("127.0.0.1", port))?.write_all(b"hello")?;
    let run = running.wait()?;
    ensure!(run.ran()?.fact("heard")? == "hello", "it heard {:?}", run.fact("heard")?);
    Ok(())
}

fn reach(inside: &Inside) -> Result<()> {
    let port: u16 = inside.argument(0)?.parse()?;
    inside.fact("namespace", &fs::read_link("/proc/self/ns/net")?.to_string_lossy());
    if let Some(mut stream) = inside.attempt("connect", TcpStream::connect(("127.0.0.1", port))) {
        stream.write_all(b"hello")?;
    }
    Ok(())
}

fn serve(inside: &Inside) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    inside.fact("port", &listener.local_addr()?.port().to_string());
    let mut heard = String::new();
    listener.accept()?.0.read_to_string(&mut heard)?;
    inside.fact("heard", &heard);
    Ok(())
}
