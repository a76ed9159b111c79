//! The logs that are being written: whoever writes one lives, and holds its lock until its end.

use crate::error::AuditError;
use crate::files::Appended;
use crate::folder::{Folder, LIVE};
use crate::line::Line;
use crate::read::{self, Piece, Pieces, Place};
use crate::record::Kind;
use crate::segment::{self, Header};
use rustix::fd::OwnedFd;
use rustix::fs::OFlags;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A log that is being written.
#[derive(Debug)]
pub struct Living {
    /// Its name.
    pub log: String,
    /// Who writes it, in the pid namespace where that was started.
    pub pid: u32,
    /// Its newest segment, which its writer has open.
    pub file: Arc<OwnedFd>,
}

/// All of a folder, by when each was begun.
///
/// # Errors
/// Where the folder, or a file in it, cannot be read.
pub fn living(folder: &Folder) -> Result<Vec<Living>, AuditError> {
    let Some(live) = folder.existing(LIVE)? else { return Ok(Vec::new()) };
    let names = live.names()?;
    // Sorted: of several segments of a log, the newest is the last.
    let newest: BTreeMap<&str, &String> =
        names.iter().filter_map(|name| Some((segment::of_file(name)?.0, name))).collect();
    let mut found = Vec::new();
    for (log, name) in newest {
        // Put away since it was listed.
        let Ok(file) = live.file(name, OFlags::RDONLY) else { continue };
        let file = Appended::new(file, live.path(name))?;
        if file.try_lock()? {
            continue;
        }
        // Not begun yet, else.
        if let Some(pid) = writer(&live, name)? {
            found.push(Living { log: log.to_owned(), pid, file: file.shared() });
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
    /// Tells each of its records that is still kept, in order.
    ///
    /// # Errors
    /// Where a segment cannot be read.
    pub fn each(&self, folder: &Folder, mut told: impl FnMut(&Line)) -> Result<(), AuditError> {
        let mut places: Vec<Place> = read::places(folder)?;
        places.retain(|place| place.log == self.log);
        for place in places {
            for piece in Pieces::new(read::open_place(folder, &place)?) {
                let piece = piece.map_err(|error| AuditError::io("read", &place.path(), &error))?;
                if let Piece::Record(line) = piece {
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
        let mut agents = Vec::new();
        one.each(&folder, |line| agents.extend(line.text_at("/actor/agent").map(str::to_owned)))
            .unwrap();
        assert_eq!(agents, ["one", "two"]);
        // Killed, it has the same end: nobody holds the lock.
        drop(log);
        assert!(living(&folder).unwrap().is_empty());
        fs::remove_dir_all(path).unwrap();
    }
}
