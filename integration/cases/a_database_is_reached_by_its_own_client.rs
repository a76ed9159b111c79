//! The client of a database, unmodified, speaks its own protocol through the way out: by name and by address, many
//! commands at once, and for as long as it listens. To another host, or to a port that is not named, it does not get.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::world::{IP, World};
use sandboxd_integration::{Case, Need, Outside, patience};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) const CASE: Case = Case {
    rows: &["N17", "P22"],
    needs: &[Need::Program(IP), Need::Program(SERVER), Need::Program("/usr/bin/redis-cli")],
    outside,
    ..Case::NEW
};

/// Debian's redis-tools has the server under this name alone; it goes by the name that it is called by.
const SERVER: &str = "/usr/bin/redis-check-rdb";
const SOMEWHERE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);
const PROFILE: &str = "extends = [\"builtin:coding-agent\"]\n[network]\nmode = \"egress\"\negress = [\n\
    { to = \"tcp://db.example:6379\", within = [\"203.0.113.7/32\"] }, \"tcp://203.0.113.7:6379\" ]\n";

/// What is asked, and what the answer has in it.
const ASKED: [(&str, &str); 5] = [
    ("redis-cli -h db.example SET greeting hello; redis-cli -h db.example GET greeting", "hello"),
    ("redis-cli -h 203.0.113.7 GET greeting", "hello"),
    (
        "head -c 4000000 /dev/zero | redis-cli -h db.example -x SET large; redis-cli -h db.example STRLEN large",
        "4000000",
    ),
    (
        "for n in $(seq 5000); do echo SET key:$n $n; done | redis-cli -h db.example --pipe; redis-cli -h db.example GET key:4999",
        "4999",
    ),
    (
        "redis-cli -h db.example SUBSCRIBE news > heard & \
         until redis-cli -h db.example PUBLISH news arrived | grep -q 1; do sleep 0.1; done; \
         until grep arrived heard; do sleep 0.1; done; kill $!",
        "arrived",
    ),
];
const ELSEWHERE: [&str; 3] = [
    "redis-cli -h evil.example PING",
    "redis-cli -h db.example -p 6380 PING",
    "redis-cli -h 203.0.113.8 PING",
];

fn outside(outside: &Outside) -> Result<()> {
    let hosts = [("db.example", SOMEWHERE), ("evil.example", Ipv4Addr::new(203, 0, 113, 8))];
    let _world = World::enter(outside, &hosts)?;
    let _servers = [
        Server::start(outside, "203.0.113.7", "6379")?,
        Server::start(outside, "203.0.113.7", "6380")?,
        Server::start(outside, "203.0.113.8", "6379")?,
    ];
    let workspace = outside.workspace()?;
    for (line, wanted) in ASKED {
        let run = outside.sandbox(PROFILE).cwd(&workspace).command(&["sh", "-c", line]).run()?;
        run.exited(0).with_context(|| line)?;
        ensure!(run.stdout.contains(wanted), "{line}: {:?}, {}", run.stdout, run.stderr);
    }
    for line in ELSEWHERE {
        let run = outside.sandbox(PROFILE).cwd(&workspace).command(&["sh", "-c", line]).run()?;
        ensure!(!run.stdout.contains("PONG"), "{line}: it went there");
        ensure!(run.stderr.contains("egress denied: "), "{line}: it is not said: {}", run.stderr);
    }
    Ok(())
}

/// One of them; gone when it is let go of.
struct Server(Child);

impl Server {
    fn start(outside: &Outside, address: &str, port: &str) -> Result<Self> {
        let options = ["--bind", address, "--port", port, "--protected-mode", "no", "--save", ""];
        let process = Command::new(SERVER)
            .arg0("redis-server")
            .args(options)
            .current_dir(outside.dir())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        let server = Self(process);
        let until = Instant::now() + patience(Duration::from_secs(30));
        while TcpStream::connect((address, port.parse()?)).is_err() {
            ensure!(Instant::now() < until, "no server at {address}:{port}");
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that is gone already is what is wanted.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
