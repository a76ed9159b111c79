//! Both ends of a call, and what is between them.

use super::super::Built;
use crate::tree::Tree;
use anyhow::{Context as _, Result, ensure};
use std::fs;
use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long something may take until it listens.
const PATIENCE: Duration = Duration::from_secs(30);

/// How a call goes.
#[derive(Clone, Copy)]
pub(super) enum Way {
    /// To the other end.
    Socket,
    /// With somebody between who looks at nothing.
    Hops,
    /// From a sandbox through the broker to one process for all.
    Broker,
    /// The same, to a process of its own for each connection.
    Started,
    /// The same, where one is kept ready.
    Ready,
    /// Through dbus-broker.
    Bus,
}

impl Way {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Socket => "a Unix socket",
            Self::Hops => "two hops over Unix sockets",
            Self::Broker | Self::Started | Self::Ready => "sandboxd's broker",
            Self::Bus => "dbus-broker",
        }
    }
}

/// What is needed of files.
pub(super) struct Bench {
    pub(super) hop: PathBuf,
    sandboxd: PathBuf,
    bus: PathBuf,
    folder: PathBuf,
}

/// What serves the others; its end is theirs.
pub(super) struct Machine(Vec<Running>);

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Bench {
    pub(super) fn new(tree: &Tree, built: &Built) -> Result<Self> {
        let folder = built.folder.join("broker");
        fs::create_dir_all(&folder)?;
        let hop = tree.released("examples/hop");
        let bench = Self {
            hop,
            sandboxd: built.sandboxd.clone(),
            bus: built.sources.join("bus.py"),
            folder,
        };
        bench.write_profiles()?;
        Ok(bench)
    }

    /// An agent with an edge to one process for all, one to a process of its own, and one to another that is kept
    /// ready. Only who calls over that has any.
    fn write_profiles(&self) -> Result<()> {
        let unlimited = "rate = \"unlimited\"\nin_flight = \"unlimited\"\n";
        let hop = &self.hop;
        let mut agent = format!(
            "name = \"hop-agent\"\nextends = [\"builtin:base\"]\n[files]\nexecute = [{hop:?}]\n[limits]\nprocesses = 4096\n\
             [budget]\ncalls = \"unlimited\"\nrate = \"unlimited\"\nconnections = \"unlimited\"\n"
        );
        let mut ready = String::new();
        for (name, instances) in
            [("shared", "attenuate"), ("own", "per-caller"), ("ready", "per-caller")]
        {
            let tool = format!(
                "name = \"hop-{name}\"\nextends = [\"builtin:base\"]\n[command]\nexec = [{hop:?}, \"tool\"]\n\
                 [files]\nexecute = [{hop:?}]\n[serve]\ntools = [\"echo\"]\ninstances = \"{instances}\"\n{unlimited}"
            );
            fs::write(self.folder.join(name).with_extension("toml"), tool)?;
            let edge = format!(
                "[call.{name}]\nprofile = \"{name}.toml\"\ntools = [\"echo\"]\n{unlimited}"
            );
            let (profile, more) =
                if name == "ready" { (&mut ready, "ready = 1\n") } else { (&mut agent, "") };
            profile.push_str(&(edge + more));
        }
        fs::write(self.folder.join("agent-ready.toml"), agent.clone() + &ready)?;
        fs::write(self.folder.join("agent.toml"), agent)?;
        Ok(())
    }

    fn socket(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn command(&self, pinned: bool, program: &Path) -> Command {
        if !pinned {
            return Command::new(program);
        }
        let mut command = Command::new("taskset");
        command.args(["-c", "0"]).arg(program);
        command
    }

    /// Starts what serves.
    pub(super) fn machine(&self, pinned: bool) -> Result<Machine> {
        let mut machine = Machine(Vec::new());
        let [echo, relay, bus] = ["echo", "relay", "bus"].map(|name| self.socket(name));
        for path in [&echo, &relay, &bus] {
            if path.exists() {
                fs::remove_file(path)?;
            }
        }
        let mut serve = |command: &mut Command, socket: Option<&Path>| -> Result<()> {
            let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
            machine.0.push(Running(child));
            let from = Instant::now();
            while socket.is_some_and(|path| std::os::unix::net::UnixStream::connect(path).is_err())
            {
                ensure!(from.elapsed() < PATIENCE, "{command:?} does not listen");
                thread::sleep(Duration::from_millis(20));
            }
            Ok(())
        };
        serve(self.command(pinned, &self.hop).arg("echo").arg(&echo), Some(&echo))?;
        serve(self.command(pinned, &self.hop).arg("relay").args([&relay, &echo]), Some(&relay))?;
        // It ends with its namespace, all of it.
        let line = "mkdir -p /run/systemd && mount -t tmpfs none /run/systemd && exec dbus-run-session -- python3 \"$@\"";
        let mut launched = self.command(pinned, Path::new("unshare"));
        launched.args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]);
        launched.args(["sh", "-c", line, "sh"]).args([&self.bus, &bus]);
        serve(&mut launched, Some(&bus))
            .context("bench broker needs dbus-broker: apt-get install dbus-broker dbus-daemon")?;
        serve(self.command(pinned, &self.hop).arg("service").arg(&bus), None)?;
        // Until its name is known there is nobody to call.
        thread::sleep(Duration::from_millis(500));
        Ok(machine)
    }

    /// Callers that wait to be told how often.
    pub(super) fn call(
        &self,
        way: Way,
        pinned: bool,
        (bytes, callers): (usize, usize),
    ) -> Result<Hop> {
        let (bytes, callers) = (bytes.to_string(), callers.to_string());
        let (kind, place) = match way {
            Way::Socket => ("socket", self.socket("echo")),
            Way::Hops => ("socket", self.socket("relay")),
            Way::Broker => ("broker", PathBuf::from("shared")),
            Way::Started => ("broker", PathBuf::from("own")),
            Way::Ready => ("broker", PathBuf::from("ready")),
            Way::Bus => ("bus", self.socket("bus")),
        };
        let mut command = match way {
            Way::Broker | Way::Started | Way::Ready => {
                let mut run = self.command(pinned, &self.sandboxd);
                let ready = matches!(way, Way::Ready);
                let profile = if ready { "agent-ready.toml" } else { "agent.toml" };
                run.args(["run", "--profile"]).arg(self.folder.join(profile)).arg("--");
                run.arg(&self.hop);
                run
            }
            Way::Socket | Way::Hops | Way::Bus => self.command(pinned, &self.hop),
        };
        command.args(["call", kind]).arg(place).args([bytes, callers]);
        Hop::start(&mut command)
    }
}

/// What was said of one turn.
#[derive(Clone, Copy)]
pub(super) struct Said {
    /// All calls of all callers.
    pub(super) took: Duration,
    pub(super) p50: Duration,
    pub(super) p99: Duration,
}

/// Callers.
pub(super) struct Hop {
    child: Child,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
}

impl Drop for Hop {
    fn drop(&mut self) {
        // It ends where nothing more is asked.
        self.input = None;
        self.child.wait().ok();
    }
}

impl Hop {
    fn start(command: &mut Command) -> Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (input, output) = (child.stdin.take(), child.stdout.take().context("its output")?);
        let mut hop = Self { child, input, output: BufReader::new(output).lines() };
        let line = hop.line()?;
        ensure!(line == "ready", "it says {line:?}");
        Ok(hop)
    }

    fn line(&mut self) -> Result<String> {
        Ok(self.output.next().context("it ended, see above")??)
    }

    fn ask(&mut self, line: &str) -> Result<Vec<Duration>> {
        let input = self.input.as_mut().context("its input")?;
        writeln!(input, "{line}")?;
        let said = self.line()?;
        let nanos = said.split(' ').map(|word| Ok(Duration::from_nanos(word.parse()?)));
        nanos.collect::<Result<_>>().with_context(|| said.clone())
    }

    /// Connects so often more, and says nothing there.
    pub(super) fn quiet(&mut self, more: usize) -> Result<()> {
        self.ask(&format!("quiet {more}")).map(drop)
    }

    /// So many calls of each caller.
    pub(super) fn round(&mut self, calls: usize) -> Result<Said> {
        let [took, p50, p99] = self.ask(&calls.to_string())?[..] else {
            anyhow::bail!("it does not say three times");
        };
        Ok(Said { took, p50, p99 })
    }

    /// One connection more, to its first answer.
    pub(super) fn open(&mut self) -> Result<Duration> {
        self.ask("open")?.first().copied().context("it says no time")
    }

    /// The supervisor of a run.
    pub(super) fn supervisor(&self) -> Process {
        Process(self.child.id())
    }

    /// The broker of a run.
    pub(super) fn broker(&self) -> Result<Process> {
        let mut found = vec![self.child.id()];
        let mut next = 0;
        while let Some(pid) = found.get(next).copied() {
            next += 1;
            let process = Process(pid);
            let name = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let words: Vec<&str> = name.split('\0').collect();
            if words.get(1..3) == Some(&["service", "broker"]) && process.children().is_empty() {
                return Ok(process);
            }
            found.extend(process.children());
        }
        anyhow::bail!("there is no broker")
    }
}

/// A process, as the kernel tells of it.
pub(super) struct Process(u32);

impl Process {
    fn children(&self) -> Vec<u32> {
        let mut children = Vec::new();
        for task in fs::read_dir(format!("/proc/{}/task", self.0)).into_iter().flatten().flatten() {
            let text = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            children.extend(text.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        }
        children
    }

    /// What of its memory is in memory, in KiB.
    pub(super) fn resident(&self) -> Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.0))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
        line.split_whitespace().next().context("VmRSS")?.parse().context("VmRSS")
    }

    /// Time on a processor, of all its threads that live.
    pub(super) fn spent(&self) -> Result<Duration> {
        let mut nanos = 0_u64;
        for task in fs::read_dir(format!("/proc/{}/task", self.0))? {
            let text = fs::read_to_string(task?.path().join("schedstat"))?;
            let first = text.split_whitespace().next().context("schedstat")?;
            nanos += first.parse::<u64>()?;
        }
        Ok(Duration::from_nanos(nanos))
    }
}
