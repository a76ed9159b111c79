//! Where records are read from.

use super::own;
use sandboxd_audit::read::{self, Piece, Pieces, Place};
use sandboxd_audit::time::Stamp;
use sandboxd_audit::{AuditError, Folder, line::Line};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A folder of logs, or one file.
pub(super) enum Source {
    Folder(Folder),
    File { name: String, path: PathBuf },
}

impl Source {
    /// What was named; without a name, the own folder.
    pub(super) fn find(place: Option<&Path>) -> Result<Self, AuditError> {
        let Some(path) = place else { return own().map(Self::Folder) };
        if path.is_dir() {
            return Folder::at(path).map(Self::Folder);
        }
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        Ok(Self::File { name: name.unwrap_or_default(), path: path.to_owned() })
    }
}

/// Reads records, and later those that were added.
pub(super) struct Reader {
    source: Source,
    since: Option<Stamp>,
    /// How far each segment was read, and whether nothing can be added to it any more.
    read: BTreeMap<(String, u32), (u64, bool)>,
}

impl Reader {
    pub(super) fn new(source: Source, since: Option<Stamp>) -> Self {
        Self { source, since, read: BTreeMap::new() }
    }

    /// The records that were not read yet, by the time they were written.
    pub(super) fn more(&mut self) -> Result<Vec<Line>, AuditError> {
        let mut lines = Vec::new();
        match &self.source {
            Source::File { name, path } => {
                let key = (name.clone(), 0);
                let file = BufReader::new(super::file(path)?);
                let from = self.read.get(&key).map_or(0, |(from, _)| *from);
                let to = take(file, from, &mut lines)
                    .map_err(|error| super::unreadable("read", path, &error))?;
                self.read.insert(key, (to, false));
            }
            Source::Folder(folder) => {
                for place in read::places(folder)? {
                    self.read.entry((place.log.clone(), place.segment)).or_insert((0, false));
                    self.segment(&place, &mut lines)?;
                }
            }
        }
        if let Some(since) = self.since {
            let since = since.text();
            lines.retain(|line| line.ts >= since);
        }
        lines.sort_by(|one, other| one.ts.cmp(&other.ts));
        Ok(lines)
    }

    fn segment(&mut self, place: &Place, lines: &mut Vec<Line>) -> Result<(), AuditError> {
        let Source::Folder(folder) = &self.source else { return Ok(()) };
        let Some((from, whole)) = self.read.get_mut(&(place.log.clone(), place.segment)) else {
            return Ok(());
        };
        // The day under which it lies is that of its last record.
        let is_day = Stamp::parse(&place.folder).is_some();
        let before = self.since.is_some_and(|since| is_day && place.folder < since.day());
        if *whole || before {
            return Ok(());
        }
        *whole = is_day;
        let file = read::open_place(folder, place)?;
        *from = take(file, *from, lines).map_err(|error| AuditError {
            call: "read",
            subject: place.path(),
            errno: error.raw_os_error().unwrap_or(0),
            remedy: String::from("see the kernel's log (dmesg)"),
        })?;
        Ok(())
    }
}

/// The records from here on, and where they end. What is no record is for `verify` to tell; the last
/// line may be half written.
fn take(mut from: impl BufRead + Seek, at: u64, lines: &mut Vec<Line>) -> std::io::Result<u64> {
    from.seek(SeekFrom::Start(at))?;
    let mut pieces = Pieces::new(from);
    let mut end = at;
    while let Some(piece) = pieces.next() {
        if let Piece::Record(line) = piece? {
            lines.push(*line);
            end = at + pieces.offset();
        }
    }
    Ok(end)
}

/// A point in time, or how long ago it was.
pub(super) fn since(text: &str) -> Result<Stamp, AuditError> {
    let ago = || {
        let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let number: u64 = number.parse().ok()?;
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86_400,
            _ => return None,
        };
        Some(Stamp::now().before(Duration::from_secs(number.saturating_mul(seconds))))
    };
    ago().or_else(|| Stamp::parse(text)).ok_or_else(|| AuditError {
        call: "parse",
        subject: text.to_owned(),
        errno: 0,
        remedy: String::from(
            "write how long ago, 90s, 30m, 6h or 2d, or a point in UTC, 2026-11-25T15:00",
        ),
    })
}
