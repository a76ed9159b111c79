//! What a supervisor that was killed left: its log is closed by another. The first record that is not
//! whole ends it; the bytes from there on are moved aside, and the index says how many they were. And
//! what was kept long enough is removed, which the index says too.

use crate::error::AuditError;
use crate::files::Appended;
use crate::folder::{Folder, LIVE, is_day};
use crate::index::{self, Closed, Index, Removed, set_aside};
use crate::read::{self, good_length};
use crate::record::Kind;
use crate::segment::{self, telling};
use crate::time::Stamp;
use rustix::fs::OFlags;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::time::{Duration, SystemTime};

/// Logs that one supervisor closes for others, so that nobody waits long for the index.
const AT_ONCE: usize = 16;

/// As many files of logs as every supervisor looks at. Where more live, one in [`TURNS`] looks at all of them, so
/// that a start does not take longer the more of them there are.
const FEW: usize = 32;
/// How many supervisors there are to one that looks at all.
const TURNS: u32 = 16;

/// Closes logs of supervisors that are dead, and gives their names.
///
/// # Errors
/// Where a log cannot be read or written: of the first of them, once the others were closed.
pub fn recover(folder: &Folder) -> Result<Vec<String>, AuditError> {
    let Some(live) = folder.existing(LIVE)? else { return Ok(Vec::new()) };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = now.subsec_micros();
    let most = if now.is_multiple_of(TURNS) { usize::MAX } else { FEW };
    let mut logs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for name in live.first_names(most)? {
        if let Some((log, _)) = segment::of_file(&name) {
            logs.entry(log.to_owned()).or_default().push(name);
        }
    }
    // Another one first each time: one that cannot be closed keeps nobody from the others for long.
    let first = usize::try_from(now).unwrap_or(0) % logs.len().max(1);
    let (mut recovered, mut failed) = (Vec::new(), None);
    for (log, files) in logs.iter().cycle().skip(first).take(logs.len()) {
        if recovered.len() >= AT_ONCE {
            break;
        }
        match recover_one(folder, &live, (log, files)) {
            Ok(true) => recovered.push(log.clone()),
            Ok(false) => {}
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    failed.map_or(Ok(recovered), Err)
}

/// Closes a log, where nobody writes it.
fn recover_one(
    folder: &Folder,
    live: &Folder,
    (log, files): (&str, &[String]),
) -> Result<bool, AuditError> {
    // Looked at before the index is taken, so that the living cost nobody anything.
    if lives(live, files)? {
        return Ok(false);
    }
    let mut index = Index::lock(folder)?;
    let mut files = Vec::new();
    // Between the two looks it may have been closed, or begun.
    for name in of_log(live, log)? {
        let Some(file) = live.existing_file(&name, OFlags::RDWR)? else { return Ok(false) };
        let file = Appended::new(file, live.path(&name))?;
        if !file.try_lock()? {
            return Ok(false);
        }
        files.push((name, file));
    }
    let Some(number) = files.last().and_then(|(name, _)| segment::of_file(name)) else {
        return Ok(false);
    };
    let segments = number.1 + 1;
    let (mut records, mut last, mut cut_bytes) = (0, String::new(), 0);
    for (name, file) in &mut files {
        let bytes = file.tail(0)?;
        let (good, end) = good_length(&bytes);
        let torn = bytes.get(good..).unwrap_or_default();
        if !torn.is_empty() {
            set_aside(live, name, torn)?;
            cut_bytes += u64::try_from(torn.len()).unwrap_or(0);
            file.cut(u64::try_from(good).unwrap_or(0))?;
        }
        if let Some(end) = end {
            (records, last) = (end.seq + 1, end.hash().to_string());
        }
        file.sync()?;
    }
    let day = Stamp::now().day();
    let log = log.to_owned();
    let closed = Closed { log: log.clone(), day: day.clone(), segments, records, last, cut_bytes };
    index.append(&telling(Kind::Recovered, &closed)?)?;
    let to = folder.dir(&day)?;
    for name in live.names()?.iter().filter(|name| name.starts_with(&format!("{log}."))) {
        live.rename(name, &to)?;
    }
    Ok(true)
}

/// The files of a log that were not put away yet.
fn of_log(live: &Folder, log: &str) -> Result<Vec<String>, AuditError> {
    let mut names = live.names()?;
    names.retain(|name| segment::of_file(name).is_some_and(|(of, _)| of == log));
    Ok(names)
}

/// Whether a process has it open that writes it, or it is gone from here.
fn lives(live: &Folder, files: &[String]) -> Result<bool, AuditError> {
    for name in files {
        // Put away since it was listed.
        let Some(file) = live.existing_file(name, OFlags::RDONLY)? else { return Ok(true) };
        let file = Appended::new(file, live.path(name))?;
        if !file.try_lock()? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// How long the index is kept beyond the logs that it names.
const INDEX_LONGER: u32 = 2;

/// Removes what is older than `keep`: segments by the day on which they ended, but of logs that go on, and
/// files of the index once they are twice as old.
///
/// # Errors
/// Where something cannot be removed: of the first, once the others were.
pub fn expire(folder: &Folder, now: Stamp, keep: Duration) -> Result<(), AuditError> {
    let oldest = now.before(keep).day();
    let mut days = folder.names()?;
    days.retain(|name| is_day(name) && *name < oldest);
    let mut removed = Ok(());
    for day in days {
        removed = removed.and(remove_day(folder, day));
    }
    let oldest = now.before(keep * INDEX_LONGER).day();
    let mut names = index::file_names(folder)?;
    names.retain(|name| index::day_of(name).is_some_and(|day| day < oldest.as_str()));
    for name in names {
        removed = removed.and(remove_index(folder, name));
    }
    removed
}

fn remove_day(folder: &Folder, day: String) -> Result<(), AuditError> {
    // Two that remove the same day would be in each other's way.
    let mut index = Index::lock(folder)?;
    let Some(dir) = folder.existing(&day)? else { return Ok(()) };
    let live = folder.existing(LIVE)?.map_or_else(|| Ok(Vec::new()), |live| live.names())?;
    let goes_on = |name: &str| {
        let of = |name| segment::of_file(name).map(|(log, _)| log);
        of(name).is_some_and(|log| live.iter().any(|live| of(live) == Some(log)))
    };
    let (kept, names): (Vec<_>, Vec<_>) = dir.names()?.into_iter().partition(|name| goes_on(name));
    if names.is_empty() && !kept.is_empty() {
        return Ok(());
    }
    let removed = Removed { what: day.clone(), files: names.len(), last: None };
    index.append(&telling(Kind::Removed, &removed)?)?;
    names.iter().try_for_each(|name| dir.remove(name))?;
    if kept.is_empty() {
        folder.remove_dir(&day)?;
    }
    Ok(())
}

fn remove_index(folder: &Folder, name: String) -> Result<(), AuditError> {
    let mut index = Index::lock(folder)?;
    // The newest is never removed, because the lock has made or found one of today.
    let mut last = None;
    // Removed since it was listed.
    let Some(file) = folder.existing_file(&name, OFlags::RDONLY)? else { return Ok(()) };
    for piece in read::Pieces::new(BufReader::new(File::from(file))) {
        if let Ok(read::Piece::Record(line)) = piece {
            last = Some(line.hash().to_string());
        }
    }
    let removed = Removed { what: name.clone(), files: 1, last };
    index.append(&telling(Kind::Removed, &removed)?)?;
    folder.remove(&name)
}
