//! A limit that is reached gives the answer that programs know: `EFBIG` or `SIGXFSZ` for a file,
//! `EMFILE` for descriptors, exit 124 for wall time, also where the command ignores the request to
//! end; processor time and output end the command, and the result and the words say which it was. Where
//! nothing happens, nothing is looked at.

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{Pid, SysconfVar, sysconf};
use sandboxd_integration::{Case, Inside, Outside, Run, patience};
use serde_json::Value;
use std::fs::{self, File};
use std::io::Write as _;
use std::thread::sleep;
use std::time::{Duration, Instant};

pub(crate) const CASE: Case = Case {
    rows: &["R07", "R08", "R12", "R19", "P13", "P14"],
    outside,
    probes: &[("write", write), ("open", open), ("spin", spin), ("talk", talk)],
    ..Case::NEW
};

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    let with = |limits: &str| {
        format!("extends = [\"builtin:base\"]\n[files]\nwrite = [{ws:?}]\n[limits]\n{limits}\n")
    };
    let big = ws.join("big");
    let place = big.to_str().unwrap_or_default();
    let run = outside.sandbox(&with("file_size = \"1M\"")).probe("write", &[place]).run()?;
    run.ran()?.refused("write", &[Errno::EFBIG])?;
    ensure!(big.metadata()?.len() == 1 << 20, "the file has {} bytes", big.metadata()?.len());

    let run = outside.sandbox(&with("open_files = 64")).probe("open", &[]).run()?;
    run.ran()?.refused("open", &[Errno::EMFILE])?;
    let opened: u64 = run.fact("opened")?.parse()?;
    ensure!(opened < 64, "{opened} descriptors were open");

    times(outside, &with)?;

    // A few KiB of what it says are expected to come through, and no more.
    let run = outside.sandbox(&with("output = \"64K\"")).probe("talk", &[]).run()?;
    ended_by(&run, "output_limit", "[limits].output")?;
    ensure!(run.stdout.len() == 64 << 10, "{} bytes came through", run.stdout.len());
    Ok(())
}

fn times(outside: &Outside, with: &dyn Fn(&str) -> String) -> Result<()> {
    let wall = with("wall_time = \"700ms\"");
    for (command, least, most) in [
        (&["/bin/sleep", "30"][..], 600, 8000),
        // It is asked, does not listen, and is killed.
        (&["/bin/sh", "-c", "trap '' TERM INT HUP; while :; do /bin/sleep 1; done"], 2500, 12_000),
        (&["/bin/sh", "-c", "kill -STOP $$"], 600, 12_000),
    ] {
        let since = Instant::now();
        let run = outside.sandbox(&wall).command(command).run()?;
        let took = since.elapsed();
        run.exited(124).with_context(|| format!("{command:?}"))?;
        ended_by(&run, "timeout", "[limits].wall_time")?;
        let (least, most) = (Duration::from_millis(least), patience(Duration::from_millis(most)));
        ensure!(took > least && took < most, "{command:?} took {took:?}");
    }
    // Of all processes together: none of them alone uses it up.
    let since = Instant::now();
    let run = outside.sandbox(&with("cpu_time = \"1s\"\ncpus = 2")).probe("spin", &[]).run()?;
    ended_by(&run, "cpu_limit", "[limits].cpu_time")?;
    ensure!(run.exit() != Some(0) && run.exit() != Some(124), "it ended with {}", run.status);
    let used = run.result.as_ref().and_then(|result| result.get("cpu_time_ms")?.as_u64());
    let used = used.context("no account of processor time")?;
    ensure!((900..4000).contains(&used), "{used} ms of processor time");
    ensure!(since.elapsed() < patience(Duration::from_secs(20)), "it took {:?}", since.elapsed());
    a_command_that_waits_wakes_nobody(outside, with)
}

/// Processor time is not looked at before it can have been used up.
fn a_command_that_waits_wakes_nobody(
    outside: &Outside,
    with: &dyn Fn(&str) -> String,
) -> Result<()> {
    // As much as every processor could use up in a hundred seconds.
    let processors = sysconf(SysconfVar::_NPROCESSORS_CONF)?.context("how many processors")?;
    let profile = with(&format!("cpu_time = \"{}s\"\nwall_time = \"1m\"", 100 * processors));
    let command = ["/bin/sh", "-c", "echo on; exec sleep 30"];
    let mut running = outside.sandbox(&profile).command(&command).start()?;
    running.says("on")?;
    // The first look is soon.
    sleep(patience(Duration::from_millis(500)));
    let before = switches(running.pid())?;
    sleep(Duration::from_secs(1));
    let woken = switches(running.pid())?.saturating_sub(before);
    running.signal(Signal::SIGKILL)?;
    running.wait()?;
    ensure!(
        woken < 5,
        "the supervisor woke up {woken} times in a second in which nothing happened"
    );
    Ok(())
}

/// How often a process's first thread went to sleep, which is the one that looks.
fn switches(pid: Pid) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    Ok(line.context("no count")?.trim().parse()?)
}

/// This limit alone is what the result names, and the words name its key.
fn ended_by(run: &Run, name: &str, key: &str) -> Result<()> {
    let result = run.result.as_ref().context("no result")?;
    for one in ["timeout", "cpu_limit", "output_limit", "oom"] {
        let said = result.get(one).and_then(Value::as_bool);
        ensure!(said == Some(one == name), "{one} is {said:?}, ended by {name}");
    }
    ensure!(run.stderr.contains(key), "{key} is not named: {}", run.stderr);
    Ok(())
}

fn write(inside: &Inside) -> Result<()> {
    // Otherwise the answer is the signal, and nobody is left to tell of the errno.
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGXFSZ);
    signals.thread_block()?;
    let mut file = File::create(inside.path(0)?)?;
    let chunk = vec![1; 100_000];
    for _ in 0..100 {
        let written = file.write(&chunk);
        if written.is_err() {
            inside.attempt("write", written);
            return Ok(());
        }
    }
    inside.attempt::<(), std::io::Error>("write", Ok(()));
    Ok(())
}

fn open(inside: &Inside) -> Result<()> {
    let mut held = Vec::new();
    for _ in 0..1000 {
        match File::open("/dev/null") {
            Ok(file) => held.push(file),
            Err(error) => {
                inside.attempt::<(), _>("open", Err(error));
                break;
            }
        }
    }
    inside.fact("opened", &held.len().to_string());
    Ok(())
}

fn spin(_: &Inside) -> Result<()> {
    let threads: Vec<_> = (0..2)
        .map(|_| {
            std::thread::spawn(|| {
                let until = Instant::now() + Duration::from_secs(20);
                while Instant::now() < until {
                    std::hint::spin_loop();
                }
            })
        })
        .collect();
    for thread in threads {
        drop(thread.join());
    }
    Ok(())
}

fn talk(_: &Inside) -> Result<()> {
    let chunk = vec![b'x'; 10_000];
    let mut out = std::io::stdout();
    while out.write_all(&chunk).is_ok() {}
    std::thread::sleep(Duration::from_secs(20));
    Ok(())
}
