//! A tool goes out to what its profile names and the edge that it is called over gives, and its caller,
//! which has no network, goes nowhere; what the edge does not give, the tool does not reach for it.

use anyhow::{Result, ensure};
use sandboxd_integration::world::{IP, World};
use sandboxd_integration::{Case, Need, Outside};
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};

const SOMEWHERE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);

pub(crate) const CASE: Case =
    Case { rows: &["N17"], needs: &[Need::Program(IP)], outside, ..Case::NEW };

fn outside(outside: &Outside) -> Result<()> {
    let _world =
        World::enter(outside, &[("one.example", SOMEWHERE), ("other.example", SOMEWHERE)])?;
    for port in [7001, 7002] {
        let listener = TcpListener::bind((SOMEWHERE, port))?;
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                // Who does not read it has not reached it.
                writeln!(stream, "reached {port}").ok();
            }
        });
    }
    let both = "[network]\nmode = \"egress\"\negress = [\n\
        { to = \"tcp://one.example:7001\", within = [\"203.0.113.7/32\"] },\n\
        { to = \"tcp://other.example:7002\", within = [\"203.0.113.7/32\"] } ]\n";
    let tool = outside.tool("tool", &[], both)?;
    let given = "grant.network.mode = \"egress\"\ngrant.network.egress = [{ to = \"tcp://*.example:7001\", within = [\"203.0.113.0/24\"] }]\n";
    for (given, reaches) in [(given, true), ("", false)] {
        let edge = outside.call("tool", &tool, &[])?;
        let profile = format!("name = \"agent\"\nextends = [\"builtin:base\"]\n{edge}{given}");
        let asks = |host: &str, port: u16| {
            let line = format!("bash -c \"exec 3<>/dev/tcp/{host}/{port} && head -c 12 <&3\"");
            let asked = serde_json::json!({ "line": line });
            format!("/run/sandboxd/sandboxd call tool sh '{asked}'")
        };
        let own = "(exec 3<>/dev/tcp/203.0.113.7/7001) 2>&1";
        let script =
            format!("{}; {}; {own}", asks("one.example", 7001), asks("other.example", 7002));
        let run = outside.sandbox(&profile).command(&["/bin/bash", "-c", &script]).run()?;
        ensure!(
            run.stdout.contains("reached 7001") == reaches,
            "{given:?}: {} {}",
            run.stdout,
            run.stderr
        );
        ensure!(!run.stdout.contains("reached 7002"), "{given:?}: {}", run.stdout);
        ensure!(run.stdout.contains("not supported"), "the caller has sockets: {}", run.stdout);
    }
    Ok(())
}
