//! What the kernel counts per user, one sandbox can use up for itself alone: inotify instances, timers
//! and queued signals are there for its sibling all the same.

use anyhow::{Result, bail, ensure};
use nix::errno::Errno;
use nix::sys::inotify::{InitFlags, Inotify};
use sandboxd_integration::raw::{Argument, call};
use sandboxd_integration::{Case, Inside, Outside};
use std::fs;
use std::time::Duration;

pub(crate) const CASE: Case = Case {
    rows: &["R11"],
    seconds: 120,
    outside,
    probes: &[("hog", hog), ("small", small)],
    ..Case::NEW
};

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    let profile = format!(
        "extends = [\"builtin:base\"]\n[files]\nwrite = [{ws:?}]\n[limits]\nopen_files = 4096\n"
    );
    let mut hog = outside.sandbox(&profile).probe("hog", &[&ws.to_string_lossy()]).start()?;
    hog.says("used up")?;
    let sibling = outside.sandbox(&profile).probe("small", &[]).run()?;
    sibling.ran()?.allowed("inotify_init")?.allowed("timer_create")?.allowed("rt_sigqueueinfo")?;
    ensure!(hog.lives()?, "what used everything up is gone already");
    fs::write(ws.join("go"), "go")?;
    let run = hog.wait()?;
    run.ran()?.refused("inotify_init", &[Errno::EMFILE])?;
    run.refused("timer_create", &[Errno::EAGAIN])?;
    Ok(())
}

/// More than any host lets a user have.
const MOST: usize = 1 << 20;

fn timer() -> nix::Result<i64> {
    let mut timer = [0; 8];
    let monotonic = Argument::Number(1);
    call(
        libc::SYS_timer_create,
        &mut [monotonic, Argument::Number(0), Argument::Buffer(&mut timer)],
    )
}

fn hog(inside: &Inside) -> Result<()> {
    let mut instances = Vec::new();
    let refused = loop {
        match Inotify::init(InitFlags::IN_CLOEXEC) {
            Ok(instance) if instances.len() < MOST => instances.push(instance),
            outcome => break outcome.map(drop),
        }
    };
    inside.attempt("inotify_init", refused);
    let mut made = 0;
    let refused = loop {
        match timer() {
            Ok(_) if made < MOST => made += 1,
            outcome => break outcome.map(drop),
        }
    };
    inside.attempt("timer_create", refused);
    inside.fact("used up", &format!("{} instances, {made} timers", instances.len()));
    for _ in 0..600 {
        if inside.path(0)?.join("go").exists() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    bail!("nobody said go")
}

fn small(inside: &Inside) -> Result<()> {
    inside.attempt("inotify_init", Inotify::init(InitFlags::IN_CLOEXEC));
    inside.attempt("timer_create", timer());
    // A siginfo_t: SIGCHLD, which nobody waits for, with the code that a queued signal has.
    let mut info = [0_u8; 128];
    if let Some(code) = info.get_mut(8..12) {
        code.copy_from_slice(&(-1_i32).to_le_bytes());
    }
    let own = u64::from(std::process::id());
    let arguments = &mut [Argument::Number(own), Argument::Number(17), Argument::Bytes(&info)];
    inside.attempt("rt_sigqueueinfo", call(libc::SYS_rt_sigqueueinfo, arguments));
    Ok(())
}
