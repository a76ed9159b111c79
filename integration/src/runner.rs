//! Runs the cases, several at once, each in a process of its own, and says what came of them.

use crate::options::{self, Options, Part};
use crate::who::{self, Lent, Player};
use crate::{Named, alone, left, outside, patience, sandbox};
use anyhow::{Context as _, Result, anyhow, bail, ensure};
use serde::Serialize;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What became of a case.
enum Outcome {
    Passed(String),
    /// It passed, and a part of it was not run.
    Partly(String),
    Failed(String),
    NotRun(String),
}

pub(crate) fn play(cases: &'static [Named], given: &[&str]) -> Result<ExitCode> {
    let Some(options) = options::options(given)? else {
        println!("{}", options::USAGE);
        return Ok(ExitCode::SUCCESS);
    };
    let wanted: Vec<&Named> =
        cases.iter().filter(|named| is_wanted(named, &options.words)).collect();
    ensure!(!wanted.is_empty(), "no case is named like {:?}", options.words);
    if options.list {
        for named in wanted {
            println!("{}\n    {}  [{}]", named.name, named.promise, named.case.rows.join(" "));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let jobs = jobs(&wanted, &options);
    if options.list_json {
        for job in jobs {
            println!("{}", serde_json::to_string(&job.part)?);
        }
        return Ok(ExitCode::SUCCESS);
    }
    ensure!(!jobs.is_empty(), "nothing of what is asked for is in the file of --these");
    sandbox::product()?;
    let lends =
        Player::this() == Player::Root && jobs.iter().any(|job| job.part.by == Some(Player::User));
    let lent = if lends { Some(Lent::make()?) } else { None };
    let refused = if jobs.iter().any(|job| job.part.by == Some(Player::User)) {
        who::refused(lent.as_ref())?
    } else {
        None
    };
    let users = Users { lent, refused };
    let next = AtomicUsize::new(0);
    let tally = Mutex::new(Tally::new(options.results.as_deref())?);
    let broke = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..options.jobs {
            scope.spawn(|| {
                while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let begun = Instant::now();
                    let outcome = attempt(job, &options, &users);
                    let told = tally
                        .lock()
                        .map_err(|_| anyhow!("a job broke off"))
                        .and_then(|mut tally| tally.tell(job, &outcome, begun.elapsed()));
                    if let Err(error) = told {
                        eprintln!("{}: {error:#}", job.named.name);
                        broke.store(true, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    ensure!(!broke.into_inner(), "not every result could be told");
    let Ok(tally) = tally.into_inner() else { bail!("a job broke off") };
    println!("\n{}", tally.sum());
    Ok(if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is done once.
struct Job<'a> {
    number: usize,
    named: &'a Named,
    part: Part,
}

fn jobs<'a>(wanted: &[&'a Named], options: &Options) -> Vec<Job<'a>> {
    let mut jobs = Vec::new();
    for &named in wanted {
        let mut players: Vec<_> = named.case.by.players().into_iter().map(Some).collect();
        if players.is_empty() {
            players.push(None);
        }
        let only = options.only;
        players.retain(|player| only.is_none() || player.is_none() || *player == only);
        for by in players {
            let part = Part { case: named.name.to_owned(), by };
            if options.these.as_ref().is_none_or(|these| these.contains(&part)) {
                jobs.push(Job { number: jobs.len(), named, part });
            }
        }
    }
    jobs
}

fn is_wanted(named: &Named, words: &[String]) -> bool {
    words.is_empty()
        || words
            .iter()
            .any(|word| named.name.contains(word) || named.case.rows.contains(&word.as_str()))
}

/// What came of the cases so far.
struct Tally {
    passed: u32,
    failed: u32,
    skipped: u32,
    results: Option<File>,
}

/// A line of `--results`.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    part: &'a Part,
    outcome: &'static str,
    /// Why it failed or was not run, or not all of it.
    why: &'a str,
    seconds: f64,
}

impl Tally {
    fn new(results: Option<&Path>) -> Result<Self> {
        let open = |path: &Path| {
            // A pipe is a good place, too.
            let file = File::options().create(true).append(true).open(path);
            file.with_context(|| path.display().to_string())
        };
        Ok(Self { passed: 0, failed: 0, skipped: 0, results: results.map(open).transpose()? })
    }

    fn tell(&mut self, job: &Job<'_>, outcome: &Outcome, took: Duration) -> Result<()> {
        let case = job.named.name;
        let by = job.part.by.map_or("", Player::words);
        let seconds = took.as_secs_f64();
        let (word, why) = match outcome {
            Outcome::Passed(text) => {
                self.passed += 1;
                println!("ok   {case}{by} {seconds:.2} s");
                text.lines().for_each(|line| println!("    {line}"));
                ("passed", "")
            }
            // Counted as both: it passed, and something was skipped.
            Outcome::Partly(why) => {
                self.passed += 1;
                self.skipped += 1;
                println!("ok   {case}{by} {seconds:.2} s\n    not run in part: {why}");
                ("passed", why.as_str())
            }
            Outcome::NotRun(why) => {
                self.skipped += 1;
                println!("not run: {case}{by}: {why}");
                ("not run", why.as_str())
            }
            Outcome::Failed(text) => {
                self.failed += 1;
                let mut lines = text.lines();
                println!("FAILED {case}{by} {seconds:.2} s: {}", lines.next().unwrap_or_default());
                lines.for_each(|line| println!("    {line}"));
                ("failed", text.as_str())
            }
        };
        let Some(results) = &mut self.results else { return Ok(()) };
        let line = serde_json::to_string(&Line { part: &job.part, outcome: word, why, seconds })?;
        // Whole lines at once: two may be written side by side.
        results.write_all(format!("{line}\n").as_bytes()).context("--results")
    }

    /// The last line, for whoever counts.
    fn sum(&self) -> String {
        let Self { passed, failed, skipped, .. } = self;
        match skipped {
            0 => format!("{passed} passed, {failed} failed"),
            skipped => format!("{passed} passed, {failed} failed, {skipped} skipped"),
        }
    }
}

/// What those are played with that a user plays.
struct Users {
    lent: Option<Lent>,
    /// Why this host lets none make a sandbox.
    refused: Option<String>,
}

fn attempt(job: &Job<'_>, options: &Options, users: &Users) -> Outcome {
    let unmet = match job.part.by {
        None => Some(String::from("root, for what it is about or for judging it")),
        Some(player) => users
            .refused
            .clone()
            .filter(|_| player == Player::User)
            .or_else(|| job.named.case.needs.iter().find_map(|need| need.unmet())),
    };
    match (unmet, options.require_all) {
        (Some(why), true) => Outcome::Failed(format!("not run: needs {why}")),
        (Some(why), false) => Outcome::NotRun(format!("needs {why}")),
        (None, require_all) => match in_its_process(job, options, users.lent.as_ref()) {
            Ok(Outcome::Partly(why)) if require_all => {
                Outcome::Failed(format!("not run in part: {why}"))
            }
            Ok(outcome) => outcome,
            Err(error) => Outcome::Failed(format!("the harness: {error:#}")),
        },
    }
}

fn in_its_process(job: &Job<'_>, options: &Options, lent: Option<&Lent>) -> Result<Outcome> {
    let named = job.named;
    let most = Duration::from_secs(named.case.seconds)
        * options.slower.saturating_mul(options.soak.unwrap_or(1));
    let mut said = output(job)?;
    let mut command = match (job.part.by, lent) {
        (Some(Player::User), Some(lent)) => lent.command(job.number)?,
        _ => Command::new(std::env::current_exe()?),
    };
    let mut child = command
        .args(["case", named.name])
        .env(patience::VARIABLE, options.slower.to_string())
        .envs(options.soak.map(|times| (outside::SOAK, times.to_string())))
        .stdin(Stdio::null())
        .stdout(said.try_clone()?)
        .stderr(said.try_clone()?)
        .spawn()?;
    let process = child.id();
    let ended = wait(&mut child, most);
    let cleared = clear(process);
    let mut text = Vec::new();
    said.seek(SeekFrom::Start(0))?;
    said.read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text).into_owned();
    // What the case says is, as a rule, why.
    cleared.with_context(|| text.clone())?;
    Ok(match ended? {
        Some(status) if status.success() => Outcome::Passed(text),
        Some(status) if status.code() == Some(i32::from(alone::FAILED)) => Outcome::Failed(text),
        Some(status) if status.code() == Some(i32::from(alone::PARTLY)) => {
            Outcome::Partly(text.lines().next_back().unwrap_or_default().to_owned())
        }
        Some(status) => Outcome::Failed(format!("the case broke off: {status}\n{text}")),
        None => Outcome::Failed(format!("not over after {} s\n{text}", most.as_secs())),
    })
}

/// A file without a name for what a case says.
fn output(job: &Job<'_>) -> Result<File> {
    let name = format!("sandboxd-said-{}-{}", std::process::id(), job.number);
    let path = std::env::temp_dir().join(name);
    let file = File::options().read(true).write(true).create_new(true).open(&path)?;
    fs::remove_file(path)?;
    Ok(file)
}

/// How a case ended; nothing where its time was up, and it and all it started was ended.
fn wait(child: &mut Child, most: Duration) -> Result<Option<ExitStatus>> {
    let until = Instant::now() + most;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= until {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    // Parents first, so that nobody starts anew what was ended.
    for pid in descendants(i32::try_from(child.id())?) {
        left::end(pid)?;
    }
    child.wait()?;
    Ok(None)
}

/// A process and all that it started, parents before children.
fn descendants(pid: i32) -> Vec<i32> {
    let mut all = vec![pid];
    let mut at = 0;
    while let Some(&parent) = all.get(at) {
        at += 1;
        let Ok(tasks) = fs::read_dir(format!("/proc/{parent}/task")) else { continue };
        for task in tasks.flatten() {
            // A thread that is gone has no children left.
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            all.extend(children.split_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
        }
    }
    all
}

/// Removes the folder of a case that is over, and the cgroups where it could not do so itself.
fn clear(process: u32) -> Result<()> {
    let dir = alone::dir(process);
    if dir.exists() {
        fs::remove_dir_all(&dir).with_context(|| dir.display().to_string())?;
    }
    for folder in left::cgroups(process)? {
        left::remove_cgroup(&folder)?;
    }
    Ok(())
}
