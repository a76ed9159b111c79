//! The jobs of `examples/ci` run nothing and fail where a layer is missing that they may not lack, run
//! with it where they may, and leave a receipt that the command could not change; nor does it change what
//! is executed outside.

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sandboxd_integration::{Case, Need, Outside};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

pub(crate) const CASE: Case = Case {
    rows: &["C06", "E4", "C02"],
    needs: &[Need::Landlock(6)],
    seconds: 120,
    outside,
    ..Case::NEW
};

const RUN: &str = include_str!("../../examples/ci/run.sh");
const GITHUB: &str = include_str!("../../examples/ci/action.yml");
const GITLAB: &str = include_str!("../../examples/ci/gitlab.yml");

/// What an older kernel may lack; this case is not about it.
const OLDER: &str = "landlock,memfd_noexec";

fn outside(outside: &Outside) -> Result<()> {
    let script = outside.file("project/ci/run.sh", RUN)?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    on_github(outside)?;
    on_gitlab(outside)?;
    what_the_command_does_to_the_receipt(outside)?;
    what_the_command_does_to_its_folder(outside)?;
    what_a_later_step_executes(outside)?;
    what_is_still_to_be_read(outside)?;
    a_job_that_is_cancelled(outside)
}

fn on_github(outside: &Outside) -> Result<()> {
    let mut job = Job::new(outside, block(GITHUB, "run: |")?, outside.workspace()?);
    job.set("SANDBOXD_MAY_LACK", OLDER).set("SANDBOXD_PROFILE", default_of(GITHUB, "profile")?);
    let folder = job.folder.clone();
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        git.args(["-c", "safe.directory=*"]).args(arguments).current_dir(&folder).output()
    };
    ensure!(git(&["init", "-q"])?.status.success(), "git init failed");
    // Git outside looks where it always did, and nobody inside leads it elsewhere.
    let elsewhere = "(echo ../evil > .git/commondir) 2> /dev/null && exit 9\n";
    let build = format!("{elsewhere}echo built > built\nexit 3\n");
    job.set("SANDBOXD_RUN", &build).run()?.ended(3)?;
    let hooks = String::from_utf8(git(&["rev-parse", "--git-path", "hooks"])?.stdout)?;
    ensure!(folder.join(hooks.trim_end()) == folder.join(".git/hooks"), "hooks are {hooks}");
    ensure!(job.folder.join("built").exists(), "nothing was built");
    job.has_a_receipt()?;

    job.set("SANDBOXD_RUN", "touch ran").set("SANDBOXD_PROFILE", "builtin:container");
    let ended = job.run()?;
    ended.ended(1)?.says("MISSING")?.says("mount-view")?.says("--may-lack ")?;
    ensure!(!job.folder.join("ran").exists(), "it was run without a mount view");
    job.has_a_receipt()?;

    job.set("SANDBOXD_MAY_LACK", "mount-veiw").run()?.ended(125)?.says("mount-veiw")?;
    job.set("SANDBOXD_MAY_LACK", OLDER).set("PATH", "/usr/bin:/bin");
    job.run()?.ended(125)?.says("not installed")?;
    ensure!(!job.folder.join("ran").exists(), "it was run");
    Ok(())
}

fn on_gitlab(outside: &Outside) -> Result<()> {
    let mut job = Job::gitlab(outside, "gitlab")?;
    job.set("SANDBOXD_RUN", "echo 'echo tested' > tool; chmod +x tool; ./tool; touch 'a b'");
    job.run()?.ended(0)?.says("may lack")?;
    ensure!(job.folder.join("a b").exists(), "nothing was run");
    job.has_a_receipt()?;
    // Leave is for what is named, and for nothing else.
    let may = job.value("SANDBOXD_MAY_LACK").replace("pid-namespace,", "");
    job.set("SANDBOXD_MAY_LACK", &may).set("SANDBOXD_RUN", "touch ran");
    job.run()?.ended(1)?.says("MISSING   pid-namespace")?;
    ensure!(!job.folder.join("ran").exists(), "it was run without a pid namespace");
    Ok(())
}

fn what_the_command_does_to_the_receipt(outside: &Outside) -> Result<()> {
    let victim = outside.canary("victim")?;
    let mut job = Job::gitlab(outside, "planted")?;
    let plant = format!("ln -s {} sandboxd-receipt.json", victim.path().display());
    job.set("SANDBOXD_RUN", &plant).run()?.ended(0)?;
    victim.unchanged()?;
    job.has_a_receipt()?;
    let forge = "for file in /tmp/*/receipt.json \"$TMPDIR\"/../../*/receipt.json; do echo {} > \"$file\" || true; done";
    job.set("SANDBOXD_RUN", forge).run()?.ended(0)?;
    job.has_a_receipt()?;
    // What is no file is never replaced by it.
    let mut device = Job::gitlab(outside, "device")?;
    let null = null(outside)?;
    device.set("SANDBOXD_RUN", "touch ran");
    for named in [null.as_path(), Path::new("/dev/stdout")] {
        device.set("SANDBOXD_RECEIPT", &named.to_string_lossy());
        device.run()?.ended(125)?.says("is no file")?;
    }
    ensure!(!device.folder.join("ran").exists(), "it was run");
    let kind = fs::symlink_metadata(null)?.file_type();
    ensure!(kind.is_char_device(), "the device was replaced");
    Ok(())
}

/// A link in the place of the folder that the receipt goes to leads it nowhere.
fn what_the_command_does_to_its_folder(outside: &Outside) -> Result<()> {
    let victim = outside.canary("elsewhere/r.json")?;
    let mut job = Job::gitlab(outside, "moved")?;
    job.set("SANDBOXD_RECEIPT", "out/r.json").set("SANDBOXD_RUN", "true");
    job.run()?.ended(125)?.says("no folder out")?;
    fs::create_dir(job.folder.join("out"))?;
    let folder = victim.path().parent().context("a folder")?.display();
    job.set("SANDBOXD_RUN", &format!("mv out away; ln -s {folder} out")).run()?.ended(0)?;
    victim.unchanged()?;
    ensure!(job.folder.join("away/r.json").is_file(), "the receipt is not where its folder is");
    Ok(())
}

/// The folder of the script lies in the one that the command writes, and is not for it to write.
fn what_a_later_step_executes(outside: &Outside) -> Result<()> {
    let (taken, job) = (outside.dir().join("taken"), outside.workspace()?);
    let own = outside.file("ws/ci/run.sh", RUN)?;
    fs::set_permissions(&own, fs::Permissions::from_mode(0o755))?;
    let mut step = Job::new(outside, block(GITHUB, "run: |")?, job);
    step.set("GITHUB_ACTION_PATH", &own.with_file_name("").to_string_lossy());
    step.set("SANDBOXD_MAY_LACK", OLDER).set("SANDBOXD_PROFILE", default_of(GITHUB, "profile")?);
    let script = format!("printf '#!/bin/sh\\n: > {}\\n'", taken.display());
    let take = format!(
        "set +e; {script} > ci/run.sh; mv ci old; mkdir ci; rm -f ci/run.sh; {script} > ci/run.sh
        chmod 755 ci/run.sh; touch tried"
    );
    step.set("SANDBOXD_RUN", &take).run()?;
    step.set("SANDBOXD_RUN", "test -e tried").run()?.ended(0)?;
    ensure!(fs::read_to_string(&own)? == RUN, "the script was changed");
    ensure!(!taken.exists(), "the next step executed what the command wrote");
    // Without mounts it cannot be so, and nothing is run.
    step.set("SANDBOXD_PROFILE", "builtin:container");
    step.set("SANDBOXD_OPTIONS", "--write=.\n--execute=.");
    step.run()?.ended(125)?.says("which may be written, and so may be written, too")?;
    Ok(())
}

/// A shell reads on in its script once the command has ended; of this one, all has been read by then.
fn what_is_still_to_be_read(outside: &Outside) -> Result<()> {
    let (taken, folder) = (outside.dir().join("read on"), outside.dir().join("open"));
    let script = folder.join("run.sh");
    fs::create_dir(&folder)?;
    fs::write(&script, RUN)?;
    let mut job = Job::gitlab(outside, "reading")?;
    job.script = format!("bash {} sh -euc \"$SANDBOXD_RUN\"", script.display());
    let options = format!("{}\n--write={}", job.value("SANDBOXD_OPTIONS"), folder.display());
    job.set("SANDBOXD_OPTIONS", &options);
    let line = format!(": > '{}'", taken.display());
    let fill = format!("yes \"{line}\" | head -n 500 > {}", script.display());
    job.set("SANDBOXD_RUN", &fill).run()?.ended(0)?;
    ensure!(fs::read_to_string(&script)?.starts_with(&line), "nothing was written");
    ensure!(!taken.exists(), "the shell executed what the command wrote");
    Ok(())
}

/// The sandbox hears of it, and what was enforced is kept.
fn a_job_that_is_cancelled(outside: &Outside) -> Result<()> {
    let mut job = Job::gitlab(outside, "cancelled")?;
    let script = outside.dir().join("project/ci/run.sh");
    let temporary = |job: &Job| -> Result<usize> {
        Ok(fs::read_dir(job.value("TMPDIR"))?.filter_map(Result::ok).count())
    };
    let before = temporary(&job)?;
    for (signal, status) in [(Signal::SIGTERM, 143), (Signal::SIGINT, 130), (Signal::SIGHUP, 129)] {
        let begun = format!("begun {status}");
        job.script = format!("exec {} sh -c 'touch \"{begun}\"; exec sleep 600'", script.display());
        let (told, begun) = (job.folder.join("told"), job.folder.join(begun));
        let mut step = job.shell().stderr(fs::File::create(&told)?).spawn().context("sh")?;
        while !begun.exists() {
            if let Some(ended) = step.try_wait()? {
                bail!("{signal}: {ended} before it began: {}", fs::read_to_string(&told)?);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        kill(Pid::from_raw(i32::try_from(step.id())?), signal)?;
        let ended = step.wait()?;
        ensure!(ended.code() == Some(status), "{signal}: it ended with {ended}");
        job.has_a_receipt()?;
        ensure!(temporary(&job)? == before, "{signal}: something was left behind");
    }
    Ok(())
}

/// A device as `/dev/null` is, of this case alone.
fn null(outside: &Outside) -> Result<PathBuf> {
    use nix::sys::stat::{Mode, SFlag, makedev, mknod};
    let null = outside.dir().join("null");
    mknod(&null, SFlag::S_IFCHR, Mode::from_bits_truncate(0o666), makedev(1, 3))?;
    Ok(null)
}

/// A job as its runner starts it.
struct Job {
    script: String,
    variables: Vec<(String, String)>,
    folder: PathBuf,
}

struct Ended(Output);

impl Job {
    fn new(outside: &Outside, script: String, folder: PathBuf) -> Self {
        let project = outside.dir().join("project");
        let mut job = Self { script, variables: Vec::new(), folder };
        let own = std::env::current_exe().unwrap_or_default();
        let beside = own.parent().unwrap_or(Path::new("/"));
        job.set("PATH", &format!("{}:/usr/bin:/bin", beside.display()));
        job.set("TMPDIR", &outside.dir().join("tmp").to_string_lossy());
        job.set("GITHUB_ACTION_PATH", &project.join("ci").to_string_lossy());
        job.set("CI_PROJECT_DIR", &project.to_string_lossy());
        job
    }

    /// With the variables that the file gives it.
    fn gitlab(outside: &Outside, name: &str) -> Result<Self> {
        // Of whoever runs the job: without namespaces nobody is shown as another.
        let folder = outside.dir().join(name);
        fs::create_dir(&folder)?;
        let mut job = Self::new(outside, block(GITLAB, "- |")?, folder);
        for line in GITLAB.lines().filter(|line| !line.trim_start().starts_with('#')) {
            let variable = line.trim_start().split_once(": ");
            if let Some((name, value)) = variable.filter(|(name, _)| name.starts_with("SANDBOXD_"))
            {
                job.set(name, &value.trim_matches('"').replace("\\n", "\n"));
            }
        }
        ensure!(!job.value("SANDBOXD_MAY_LACK").is_empty(), "no variables were found");
        let may = format!("{},{OLDER}", job.value("SANDBOXD_MAY_LACK"));
        job.set("SANDBOXD_MAY_LACK", &may);
        Ok(job)
    }

    fn set(&mut self, name: &str, value: &str) -> &mut Self {
        self.variables.retain(|(old, _)| old != name);
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    fn value(&self, name: &str) -> String {
        let found = self.variables.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    }

    fn run(&self) -> Result<Ended> {
        self.shell().output().map(Ended).context("sh")
    }

    fn shell(&self) -> Command {
        // A shell cannot hear of what was ignored when it began, as it is for what another shell has in the background.
        let mut shell = Command::new("/usr/bin/env");
        shell.args(["--default-signal=HUP,INT,TERM", "/bin/sh", "-e", "-c", &self.script]);
        shell.env_clear().envs(self.variables.iter().cloned());
        shell.current_dir(&self.folder);
        shell
    }

    /// Of the last run, which the command has not changed, and no link.
    fn has_a_receipt(&self) -> Result<()> {
        let path = self.folder.join("sandboxd-receipt.json");
        ensure!(fs::symlink_metadata(&path)?.is_file(), "the receipt is no file");
        let receipt: Value = serde_json::from_slice(&fs::read(&path)?)?;
        let layers = receipt.get("layers").and_then(Value::as_array);
        ensure!(layers.is_some_and(|layers| layers.len() > 10), "not the receipt: {receipt}");
        self.is_answered_for_programs(&path)?;
        fs::remove_file(path).context("the receipt")
    }

    fn is_answered_for_programs(&self, receipt: &Path) -> Result<()> {
        let mut sandboxd = Command::new(std::env::current_exe()?.with_file_name("sandboxd"));
        let asked = sandboxd.args(["receipt", "check", "--json"]).arg(receipt).output()?;
        let answer: Value = serde_json::from_slice(&asked.stdout)?;
        let missing = answer.get("missing").and_then(Value::as_array).context("no list")?;
        let ok = answer.get("ok").and_then(Value::as_bool).context("no answer")?;
        ensure!(ok == missing.is_empty(), "without a leave, what is missing is an error: {answer}");
        ensure!(asked.status.code() == Some(i32::from(!ok)), "{answer} and {}", asked.status);
        Ok(())
    }
}

impl Ended {
    fn ended(&self, status: i32) -> Result<&Self> {
        let Output { status: own, stdout, stderr } = &self.0;
        let said = String::from_utf8_lossy(stderr);
        let stdout = String::from_utf8_lossy(stdout);
        ensure!(own.code() == Some(status), "{own}, not {status}: {stdout}{said}");
        Ok(self)
    }

    fn says(&self, words: &str) -> Result<&Self> {
        let said = String::from_utf8_lossy(&self.0.stderr);
        ensure!(said.contains(words), "{words:?} is not said: {said}");
        Ok(self)
    }
}

/// The lines below one of a YAML file that ends in `|`.
fn block(yaml: &str, head: &str) -> Result<String> {
    let mut lines = yaml.lines().skip_while(|line| line.trim() != head);
    let first = lines.next().with_context(|| format!("no {head:?}"))?;
    let depth = first.len() - first.trim_start().len();
    let inner = |line: &&str| line.trim().is_empty() || line.starts_with(&" ".repeat(depth + 1));
    let script: Vec<&str> = lines.take_while(inner).map(str::trim).collect();
    ensure!(!script.is_empty(), "nothing below {head:?}");
    Ok(script.join("\n"))
}

/// The default of an input of an action.
fn default_of<'y>(yaml: &'y str, input: &str) -> Result<&'y str> {
    let mut lines = yaml.lines().skip_while(|line| line.trim() != format!("{input}:"));
    let default = lines.find_map(|line| line.trim().strip_prefix("default: "));
    default.context("an input without a default")
}
