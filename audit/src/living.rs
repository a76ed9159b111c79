//! The logs that are being written: whoever writes one lives, and holds its lock until its end.

use crate::error::AuditError;
use crate::files::Appended;
use crate::folder::{Folder, LIVE};
use crate::line::Line;
use crate::read::{self, Piece, Pieces, Place};
use crate::record::Kind;
use crate::segment::{self, Header};
use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::io::BufRead as _;
use std::sync::Arc;

/// A log that is being written.
#[derive(Debug)]
pub struct Living {
    /// Its name.
    pub log: String,
    /// Who writes it, in the pid namespace where that was started.
    pub pid: u32,
    /// The segment that its writer has open and locked, and its name.
    pub file: Arc<OwnedFd>,
    /// See `file`.
    pub name: String,
}

/// All of a folder, by when each was begun.
///
/// # Errors
/// Where the folder, or a file in it, cannot be read.
pub fn living(folder: &Folder) -> Result<Vec<Living>, AuditError> {
    let Some(live) = folder.existing(LIVE)? else { return Ok(Vec::new()) };
    let names = live.names()?;
    let mut logs: BTreeMap<&str, Vec<&String>> = BTreeMap::new();
    for name in &names {
        if let Some((log, _)) = segment::of_file(name) {
            logs.entry(log).or_default().push(name);
        }
    }
    let mut found = Vec::new();
    for (log, names) in logs {
        // The newest may be one that could not be begun, and so is nobody's.
        for name in names.into_iter().rev() {
            // Put away since it was listed.
            let Ok(file) = live.file(name, OFlags::RDONLY) else { continue };
            let file = Appended::new(file, live.path(name))?;
            if file.try_lock()? {
                continue;
            }
            if let Some(pid) = writer(&live, name)? {
                let (log, name) = (log.to_owned(), name.clone());
                found.push(Living { log, pid, name, file: file.shared() });
                break;
            }
        }
    }
    Ok(found)
}

/// Who writes a segment, as its first record says.
fn writer(live: &Folder, name: &str) -> Result<Option<u32>, AuditError> {
    let Ok(file) = read::open(live, name) else { return Ok(None) };
    let first = Pieces::new(file).next().transpose();
    let first = first.map_err(|error| AuditError::io("read", &live.path(name), &error))?;
    let Some(Piece::Record(line)) = first else { return Ok(None) };
    let header = Some(&line).filter(|line| line.kind == Kind::Header.name());
    Ok(header.and_then(|line| line.detail::<Header>()).map(|header| header.pid))
}

impl Living {
    /// Whether somebody writes it still.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        let taken = flock(&self.file, FlockOperation::NonBlockingLockExclusive);
        if taken.is_ok() {
            // Whoever closes the log looks for that.
            flock(&self.file, FlockOperation::Unlock).ok();
        }
        taken == Err(Errno::WOULDBLOCK)
    }

    /// Tells each of its records of these kinds, in order. Those of other kinds are not even read, because a busy
    /// log has many.
    ///
    /// # Errors
    /// Where a segment cannot be read.
    pub fn each(
        &self,
        folder: &Folder,
        kinds: &[Kind],
        mut told: impl FnMut(&Line),
    ) -> Result<(), AuditError> {
        let kinds: Vec<String> =
            kinds.iter().map(|kind| format!("\"kind\":\"{}\"", kind.name())).collect();
        let mut places: Vec<Place> = read::places(folder)?;
        places.retain(|place| place.log == self.log);
        for place in places {
            let file = read::open_place(folder, &place)?;
            let failed = |error| AuditError::io("read", &place.path(), &error);
            for line in file.split(b'\n') {
                let line = line.map_err(failed)?;
                let text = String::from_utf8_lossy(&line);
                if kinds.iter().any(|kind| text.contains(kind))
                    && let Some(line) = Line::read(&line)
                    && kinds.iter().any(|kind| kind.contains(&line.kind))
                {
                    told(&line);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Log, Measures};
    use crate::record::{Actor, Record};
    use std::fs;

    #[test]
    fn a_log_lives_until_its_writer_ends_and_tells_all_segments() {
        let path = std::env::temp_dir().join(format!("sandboxd-living-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        let folder = Folder::at(&path).unwrap();
        assert!(living(&folder).unwrap().is_empty());
        // Each record begins another segment.
        let measures = Measures { bytes: 1, ..Measures::default() };
        let mut log = Log::begin(Folder::at(&path).unwrap(), measures).unwrap();
        for agent in ["one", "two"] {
            let mut record = Record::of(Kind::Started);
            record.actor = Some(Actor { agent: agent.to_owned(), ..Actor::default() });
            log.append(&record).unwrap();
        }
        let found = living(&folder).unwrap();
        let [one] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((one.log.as_str(), one.pid), (log.name(), std::process::id()));
        assert!(one.goes_on());
        let mut agents = Vec::new();
        let mut agent =
            |line: &Line| agents.extend(line.text_at("/actor/agent").map(str::to_owned));
        one.each(&folder, &[Kind::Ended], &mut agent).unwrap();
        one.each(&folder, &[Kind::Started], &mut agent).unwrap();
        assert_eq!(agents, ["one", "two"]);
        // A segment that could not be begun is nobody's.
        let number = segment::of_file(&one.name).unwrap().1 + 1;
        fs::write(path.join(LIVE).join(segment::file_name(log.name(), number)), "").unwrap();
        assert_eq!(living(&folder).unwrap().len(), 1);
        // What is old is kept of a log that goes on.
        let later = crate::time::Stamp(crate::time::Stamp::now().0 + 9 * 86_400_000);
        crate::recover::expire(&folder, later, crate::writer::KEEP).unwrap();
        let mut count = 0;
        one.each(&folder, &[Kind::Started], |_| count += 1).unwrap();
        assert_eq!(count, 2);
        // Killed, it has the same end: nobody holds the lock.
        let found = living(&folder).unwrap();
        drop(log);
        assert!(found.iter().all(|one| !one.goes_on()));
        drop(found);
        assert!(living(&folder).unwrap().is_empty());
        fs::remove_dir_all(path).unwrap();
    }
}
