//! Starting `sandboxd` from a case.

use crate::approver::FOLDER;
use crate::launch::Launch;
use crate::steps::{self, Step, Then};
use crate::{Container, Fault, Outside, Run, Running, Terminal, left};
use anyhow::{Context as _, Result, ensure};
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where the probe is inside.
pub const PROBE: &str = "/probe";

/// What an ordinary user's sandbox lacks; cgroups only where none is delegated.
pub(crate) const WAIVED_BY_USERS: &[&str] = &[
    "--set=require.uid=\"if-available\"",
    "--set=require.memfd_noexec=\"if-available\"",
    "--set=require.cgroup=\"if-available\"",
];

/// How a sandbox is started.
#[derive(Debug)]
#[must_use]
pub struct Sandbox<'a> {
    outside: &'a Outside,
    verb: &'static str,
    profile: Option<Vec<u8>>,
    options: Vec<OsString>,
    command: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    cwd: PathBuf,
    stdin: Option<Vec<u8>>,
    client: Option<OwnedFd>,
    pub(crate) launch: Launch,
    receipt: Option<PathBuf>,
    program: Option<PathBuf>,
    shows_probe: bool,
    waives: bool,
}

impl<'a> Sandbox<'a> {
    pub(crate) fn new(outside: &'a Outside) -> Self {
        Self {
            outside,
            verb: "run",
            profile: None,
            options: Vec::new(),
            command: Vec::new(),
            environment: Vec::new(),
            cwd: PathBuf::from("/"),
            stdin: None,
            client: None,
            launch: Launch::default(),
            receipt: None,
            program: None,
            shows_probe: true,
            waives: true,
        }
    }

    /// With this profile, which need not be UTF-8.
    pub fn profile(mut self, text: impl AsRef<[u8]>) -> Self {
        self.profile = Some(text.as_ref().to_vec());
        self
    }

    /// `check` or `plan` instead of `run`: no command is started, no result or receipt written.
    pub fn verb(mut self, verb: &'static str) -> Self {
        self.verb = verb;
        self
    }

    /// Another option of `sandboxd run`.
    pub fn option(mut self, option: impl Into<OsString>) -> Self {
        self.options.push(option.into());
        self
    }

    /// A probe of this case as the command.
    pub fn probe(mut self, name: &str, arguments: &[&str]) -> Self {
        let words = [PROBE, "probe", self.outside.case, name];
        self.command = words.iter().chain(arguments).map(OsString::from).collect();
        self
    }

    /// Another command; the probe is not shown.
    pub fn command(mut self, words: &[&str]) -> Self {
        self.command = words.iter().map(OsString::from).collect();
        self.shows_probe = false;
        self
    }

    /// Without waiving what an ordinary user's sandbox lacks, where this is one.
    pub fn waiving_nothing(mut self) -> Self {
        self.waives = false;
        self
    }

    /// A variable of the caller's environment, which is otherwise `PATH`, `HOME` and `TMPDIR`.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// The caller's working directory; `/` where not said.
    pub fn cwd(mut self, path: &Path) -> Self {
        path.clone_into(&mut self.cwd);
        self
    }

    /// Where the receipt goes, instead of where [`Run::receipt`] finds it.
    pub fn receipt(mut self, path: &Path) -> Self {
        self.receipt = Some(path.to_owned());
        self
    }

    /// Another copy of `sandboxd` than the one beside this program.
    pub fn program(mut self, path: &Path) -> Self {
        self.program = Some(path.to_owned());
        self
    }

    /// What standard input holds; `/dev/null` where not said.
    pub fn stdin(mut self, bytes: &[u8]) -> Self {
        self.stdin = Some(bytes.to_vec());
        self
    }

    /// In a session of its own, whose terminal this is, and with it as these of standard input, output
    /// and error.
    pub fn terminal(mut self, terminal: &Terminal, streams: &[i32]) -> Self {
        self.launch.terminal = Some(terminal.path().to_owned());
        streams.clone_into(&mut self.launch.streams);
        self
    }

    /// With these signals ignored, as nohup(1) has it.
    pub fn ignoring(mut self, signals: &[i32]) -> Self {
        self.launch.ignored.extend(signals);
        self
    }

    /// As inside a container that allows no namespaces. The probe is where it is, because nothing can be
    /// shown elsewhere.
    pub fn container(mut self, container: Container) -> Self {
        self.launch.container = Some(container);
        self
    }

    /// A call that is made to fail, in the supervisor and in the shim.
    pub fn fault(mut self, fault: Fault) -> Self {
        self.launch.faults.push(fault);
        self
    }

    /// How many descriptors each process may have open.
    pub fn open_files(mut self, most: u64) -> Self {
        self.launch.open_files = Some(most);
        self
    }

    /// Runs it to its end, and asks `decide` before each call of the product and of whatever it
    /// starts, but for a few that say nothing (memory, signals, `close`).
    ///
    /// # Errors
    /// Where `sandboxd` cannot be executed, or the kernel does not let its calls be watched.
    pub fn stepped(mut self, decide: impl FnMut(&Step) -> Then) -> Result<Run> {
        self.launch.stepped = true;
        let mut running = self.start()?;
        let launched = running.pid();
        let outside = running.outside;
        let reap =
            || if running.lives()? { Ok(()) } else { left::reap_adopted(&outside.launched()) };
        steps::follow(launched, reap, decide)?;
        running.wait()
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// Where `sandboxd` cannot be executed, or what it wrote cannot be read.
    pub fn run(self) -> Result<Run> {
        self.start()?.wait()
    }

    /// Starts it, and goes on.
    ///
    /// # Errors
    /// Where `sandboxd` cannot be executed.
    pub fn start(self) -> Result<Running<'a>> {
        let folder = self.outside.next_run()?;
        let program = match self.launch.container {
            None => self.program.clone().map_or_else(product, Ok)?,
            Some(container) => self.outside.contain(&folder, container)?,
        };
        let words = self.words(&folder)?;
        self.launch(folder, &program, &words)
    }

    /// Starts an interactive shell at a terminal instead, which says `ready> ` and in which `$RUN` is
    /// the line that starts `sandboxd`, up to the command.
    ///
    /// # Errors
    /// Where it cannot be executed.
    pub fn shell(mut self, terminal: &Terminal) -> Result<Running<'a>> {
        let folder = self.outside.next_run()?;
        let mut line = product()?.into_os_string();
        // Several runs would write several results.
        let told = ["--result-fd".to_owned(), self.launch.result_fd().to_string()];
        for word in self
            .words(&folder)?
            .iter()
            .filter(|word| !told.iter().any(|one| word.as_os_str() == one.as_str()))
        {
            line.push(" ");
            line.push(word);
        }
        self.environment.extend([("RUN".into(), line), ("PS1".into(), "ready> ".into())]);
        self.environment.push(("TERM".into(), "xterm".into()));
        let words = ["--norc", "--noprofile", "--noediting", "-i"].map(OsString::from);
        self.terminal(terminal, &[0, 1, 2]).launch(folder, Path::new("/bin/bash"), &words)
    }

    /// Somebody at the other end of a pipe that is standard input.
    pub fn client(mut self, end: OwnedFd) -> Self {
        self.client = Some(end);
        self
    }

    fn launch(self, folder: PathBuf, program: &Path, words: &[OsString]) -> Result<Running<'a>> {
        let sent = folder.join("stdin");
        fs::write(&sent, self.stdin.as_deref().unwrap_or_default())?;
        let sent = self.stdin.map_or_else(|| PathBuf::from("/dev/null"), |_| sent);
        let stdin = self.client.map_or_else(|| File::open(sent).map(OwnedFd::from), Ok)?;
        let child = Command::new(std::env::current_exe()?)
            .arg("launch")
            .arg(serde_json::to_string(&Launch { result: folder.join("result"), ..self.launch })?)
            .arg(program)
            .args(words)
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", "/root")
            .env("TMPDIR", self.outside.dir().join("tmp"))
            .env("XDG_STATE_HOME", self.outside.state())
            .env(FOLDER, self.outside.login_folder()?)
            .envs(self.environment)
            .current_dir(&self.cwd)
            .stdin(stdin)
            .stdout(Stdio::from(File::create(folder.join("stdout"))?))
            .stderr(Stdio::from(File::create(folder.join("stderr"))?))
            .spawn()
            .context("the launcher")?;
        if let Some(profile) = &self.profile {
            self.outside.note(&shortened(&String::from_utf8_lossy(profile)));
        }
        let said = words.join(" ".as_ref());
        self.outside.note(&format!("$ sandboxd {}", shortened(&said.to_string_lossy())));
        self.outside.launched().insert(i32::try_from(child.id())?);
        Ok(Running { outside: self.outside, folder, child })
    }

    fn words(&self, folder: &Path) -> Result<Vec<OsString>> {
        let mut words: Vec<OsString> = self.verb.split(' ').map(OsString::from).collect();
        if let Some(profile) = &self.profile {
            let path = folder.join("profile.toml");
            fs::write(&path, profile)?;
            words.extend(["--profile".into(), path.into()]);
        }
        if self.verb == "run" {
            words.extend(["--result-fd".into(), self.launch.result_fd().to_string().into()]);
            let receipt = self.receipt.clone().unwrap_or_else(|| folder.join("receipt"));
            words.extend(["--receipt".into(), receipt.into()]);
        }
        if self.shows_probe && !self.command.is_empty() {
            if self.launch.container.is_some() {
                words.extend(["--execute".into(), self.outside.probe_in_a_container().into()]);
            } else {
                let own = std::env::current_exe()?;
                words.push("--bind".into());
                words.push(format!("{}:{PROBE}:execute", own.display()).into());
            }
        }
        if self.waives {
            words.extend(self.outside.waivers().iter().map(OsString::from));
        }
        words.extend(self.options.iter().cloned());
        if !self.command.is_empty() {
            words.push("--".into());
            let at = words.len();
            words.extend(self.command.iter().cloned());
            let own = self.shows_probe && self.launch.container.is_some();
            if let Some(first) = words.get_mut(at).filter(|_| own) {
                *first = self.outside.probe_in_a_container().into();
            }
        }
        Ok(words)
    }
}

/// `sandboxd`, beside this program.
pub(crate) fn product() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let beside = own.with_file_name("sandboxd");
    ensure!(beside.exists(), "{} is not there: cargo build -p sandboxd", beside.display());
    Ok(beside)
}

/// A text as long as a person reads.
pub(crate) fn shortened(text: &str) -> String {
    const MOST: usize = 4000;
    match text.char_indices().nth(MOST) {
        None => text.to_owned(),
        Some((at, _)) => {
            format!("{} … ({} bytes)", text.get(..at).unwrap_or_default(), text.len())
        }
    }
}
