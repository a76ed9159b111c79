//! Every connection out of a sandbox leaves a record, and every name that is refused: by which entry of the
//! profile, to whom, how it ended, how many bytes went. A flood of them is counted, and keeps none of
//! another kind from being written down.

#![expect(
    clippy::indexing_slicing,
    reason = "a member that is not there is null, and a record that is not there fails the case"
)]

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{By, Case, Inside, Outside};
use serde_json::{Value, json};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _};

pub(crate) const CASE: Case =
    Case { rows: &["N15", "R13"], outside, probes: &[("go", go)], by: By::Anybody, ..Case::NEW };

const WORDS: &[u8] = b"words-of-the-upstream";
const ASKED: &[u8] = b"words-of-the-command";
/// Far more than are written down.
const FLOOD: usize = 2000;

fn outside(outside: &Outside) -> Result<()> {
    let [named, other] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0"));
    let (named, other) = (named?, other?);
    let (port, others) = (named.local_addr()?.port(), other.local_addr()?.port());
    std::thread::spawn(move || {
        for mut stream in named.incoming().flatten() {
            // Both directions have ended then where the command sees the end of this.
            stream.read_to_end(&mut Vec::new()).and_then(|_| stream.write_all(WORDS)).ok();
        }
    });
    let written = format!("tcp://host.internal:{port}");
    let profile = format!(
        "name = \"agent\"\nextends = [\"builtin:base\"]\n[network]\nmode = \"egress\"\negress = [{written:?}]\n"
    );
    let ports = [port.to_string(), others.to_string()];
    let run = outside.sandbox(&profile).probe("go", &[&ports[0], &ports[1]]).run()?;
    run.exited(0)?;
    run.allowed("first")?.allowed("last")?;
    let receipt = run.receipt.as_ref().context("no receipt")?;

    let records = outside.records()?;
    let of =
        |kind: &str| -> Vec<&Value> { records.iter().filter(|one| one["kind"] == kind).collect() };
    let told = of("egress");
    for record in &told {
        let text = record.to_string();
        ensure!(!text.contains("words-of"), "words are in {text}");
        let actor = &record["actor"];
        ensure!(actor["agent"] == "agent" && actor["instance"] == receipt["sandbox"], "{text}");
    }
    let (allowed, refused): (Vec<&Value>, Vec<&Value>) =
        told.iter().partition(|one| one["decision"] == "allowed");
    ensure!(allowed.len() == 2, "not two: {allowed:?}");
    for record in allowed {
        let result = &record["result"];
        ensure!(record["rule"] == *written && result["verdict"] == "carried", "{record}");
        ensure!(result["name"] == "host.internal" && result["port"] == port, "{record}");
        let bytes = (&result["up_bytes"], &result["down_bytes"]);
        ensure!(bytes.0 == ASKED.len() && bytes.1 == WORDS.len(), "{record}");
    }
    let to = |name: &str| refused.iter().filter(|one| one["result"]["name"] == name).count();
    ensure!(to("host.internal") > 0 && to("unknown.example") > 0, "{refused:?}");
    for record in &refused {
        ensure!(record["decision"] == "refused" && record["rule"].is_null(), "{record}");
        ensure!(record["result"]["verdict"] == "no rule names it", "{record}");
    }
    counted(told.len(), &of("left_out"), &of("ended"))?;
    let entry = &run.result.as_ref().context("no result")?["egress"]["entries"];
    let bytes = json!({ "entry": written, "connections": 2, "refused": 0, "up_bytes": 2 * ASKED.len(), "down_bytes": 2 * WORDS.len() });
    ensure!(entry == &json!([bytes]), "what went by the entry is {entry}");
    let verified = outside.bare().waiving_nothing().verb("audit").option("verify").run()?;
    verified.exited(0)?;
    Ok(())
}

/// What is not written down is counted, and none is missing.
fn counted(told: usize, left_out: &[&Value], ended: &[&Value]) -> Result<()> {
    ensure!(told < FLOOD, "all {told} of a flood are written down");
    let number = |value: &Value| value.as_u64().context(format!("no number: {value}"));
    let mut all = u64::try_from(told)?;
    for record in left_out.iter().filter(|one| one["result"]["of"] == "egress") {
        all += number(&record["result"]["records"])?;
    }
    let agents = ended.iter().find(|one| one["actor"]["agent"] == "agent");
    let used = &agents.context("no end")?["result"]["egress"];
    let refused = used["refused"].as_array().context("no refusals")?;
    let times = refused.iter().map(|one| number(&one["times"])).sum::<Result<u64>>()?;
    let others = number(&used["connections"])? + number(&used["refused_others"])?;
    ensure!(all == times + others + number(&used["lost"])?, "{all} are not {used}");
    ensure!(times + number(&used["lost"])? >= u64::try_from(FLOOD)?, "{used}");
    Ok(())
}

fn address(name: &str) -> io::Result<SocketAddr> {
    name.to_socket_addrs()?.next().ok_or_else(|| ErrorKind::AddrNotAvailable.into())
}

fn ask(address: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(ASKED)?;
    stream.shutdown(Shutdown::Write)?;
    let mut said = Vec::new();
    stream.read_to_end(&mut said)?;
    if said == WORDS { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
}

fn go(inside: &Inside) -> Result<()> {
    let (named, other) = (inside.argument(0)?, inside.argument(1)?);
    let (named, other) =
        (address(&format!("host.internal:{named}"))?, address(&format!("host.internal:{other}"))?);
    inside.attempt("first", ask(named));
    inside.attempt("unknown", address("unknown.example:80"));
    for _ in 0..FLOOD {
        let mut said = Vec::new();
        TcpStream::connect(other).and_then(|mut stream| stream.read_to_end(&mut said)).ok();
    }
    inside.attempt("last", ask(named));
    Ok(())
}
