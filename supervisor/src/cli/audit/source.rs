//! Where records are read from.

use super::merged::{self, Part, Seen};
use super::own;
use crate::cli::output::{count, warn};
use sandboxd_audit::read::{self, Place};
use sandboxd_audit::time::Stamp;
use sandboxd_audit::{AuditError, Folder, line::Line};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A folder of logs, or one file.
pub(in crate::cli) enum Source {
    Folder(Folder),
    File { name: String, path: PathBuf },
}

impl Source {
    /// What was named; without a name, the own folder.
    pub(in crate::cli) fn find(place: Option<&Path>) -> Result<Self, AuditError> {
        let Some(path) = place else { return own().map(Self::Folder) };
        if path.is_dir() {
            let folder = Folder::at(path)?;
            read::has_any(&folder)?;
            return Ok(Self::Folder(folder));
        }
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        Ok(Self::File { name: name.unwrap_or_default(), path: path.to_owned() })
    }
}

/// The status where records are damaged.
const DAMAGED: u8 = 1;

/// Reads records, and later those that were added.
pub(in crate::cli) struct Reader {
    source: Source,
    since: Option<Stamp>,
    /// How far each segment was read, and what of it is damaged.
    seen: Seen,
    /// Those to which nothing can be added any more.
    whole: BTreeSet<(String, u32)>,
}

impl Reader {
    pub(in crate::cli) fn new(source: Source, since: Option<Stamp>) -> Self {
        Self { source, since, seen: Seen::default(), whole: BTreeSet::new() }
    }

    /// Says that some of what was read is damaged, and gives the status of whoever read it.
    pub(in crate::cli) fn status(&self) -> u8 {
        match self.seen.damaged {
            0 => 0,
            places => {
                let places = count(places, "place");
                warn(&format!(
                    "sandboxd: the audit log is damaged in {places}, and what was there is not shown\n  remedy  see what it was: sandboxd audit verify\n"
                ));
                DAMAGED
            }
        }
    }

    /// Tells the records that were not read yet, by the time they were written, until `told` says that it
    /// wants no more; says whether it never did.
    pub(in crate::cli) fn each(
        &mut self,
        mut told: impl FnMut(&Line) -> bool,
    ) -> Result<bool, AuditError> {
        let since = self.since.map(Stamp::text);
        let mut told = |line: &Line| {
            let before = since.as_ref().is_some_and(|since| line.ts < *since);
            before || told(line)
        };
        match &self.source {
            Source::File { name, path } => {
                let from = self.seen.ends.get(&(name.clone(), 0)).copied().unwrap_or(0);
                let part = Part { log: name.clone(), segment: 0, from };
                let open = |_: &Part| super::file(path).map(|file| Some(BufReader::new(file)));
                // An empty one is a log that begins.
                let mut any = from > 0 || path.metadata().is_ok_and(|file| file.len() == 0);
                let mut told = |line: &Line| {
                    any = true;
                    told(line)
                };
                let heard = merged::each(vec![part], &open, &mut self.seen, &mut told)?;
                if any { Ok(heard) } else { Err(no_log(path)) }
            }
            Source::Folder(folder) => {
                let places = read::places(folder)?;
                let places: BTreeMap<(String, u32), Place> =
                    places.into_iter().map(|one| ((one.log.clone(), one.segment), one)).collect();
                let mut parts = Vec::new();
                for (key, place) in &places {
                    if !self.whole.contains(key) && !is_before(self.since, place) {
                        let from = self.seen.ends.get(key).copied().unwrap_or(0);
                        parts.push(Part { log: key.0.clone(), segment: key.1, from });
                    }
                    if Stamp::parse(&place.folder).is_some() {
                        self.whole.insert(key.clone());
                    }
                }
                let open = |part: &Part| {
                    let Some(place) = places.get(&(part.log.clone(), part.segment)) else {
                        return Ok(None);
                    };
                    let file = read::open_place(folder, place)?;
                    Ok(Some(file).filter(|file| !is_older(self.since, file.get_ref())))
                };
                merged::each(parts, &open, &mut self.seen, &mut told)
            }
        }
    }
}

fn no_log(path: &Path) -> AuditError {
    AuditError::found(
        "read",
        format!("{}: there is no record in it", path.display()),
        "name a folder of logs, or one file of a log; without one, your own log is read",
    )
}

/// Whether all of a segment was written before: the day under which it lies is that of its last record.
fn is_before(since: Option<Stamp>, place: &Place) -> bool {
    let is_day = Stamp::parse(&place.folder).is_some();
    since.is_some_and(|since| is_day && place.folder < since.day())
}

/// Whether a file was last written before: no record of it is younger. A copy's time is later, not earlier.
fn is_older(since: Option<Stamp>, file: &File) -> bool {
    let written = file.metadata().and_then(|metadata| metadata.modified());
    // Times of files are the kernel's tick's, which is behind.
    let slack = Duration::from_secs(1);
    since.zip(written.ok()).is_some_and(|(since, at)| Stamp::from(at + slack) < since)
}

/// When a log was begun, as records have it; the beginning of time where its name does not say.
pub(super) fn began(log: &str) -> String {
    let digits = |from: usize, to: usize| {
        log.get(from..to).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let parts = [(0, 4), (4, 6), (6, 8), (9, 11), (11, 13), (13, 15), (15, 18)];
    let parts = parts.map(|(from, to)| digits(from, to));
    match (parts, log.as_bytes().get(8)) {
        (
            [
                Some(year),
                Some(month),
                Some(day),
                Some(hour),
                Some(minute),
                Some(second),
                Some(milli),
            ],
            Some(b'T'),
        ) => format!("{year}-{month}-{day}T{hour}:{minute}:{second}.{milli}Z"),
        _ => String::new(),
    }
}

/// A point in time, or how long ago it was; it is what `--since` takes.
pub(in crate::cli) fn since(text: &str) -> Result<Stamp, String> {
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
    ago().or_else(|| Stamp::parse(text)).ok_or_else(|| {
        String::from(
            "not a time; write how long ago (90s, 30m, 6h, 2d) or a time in UTC (2026-11-25, 2026-11-25T15:00)",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sandboxd_audit::log::{Log, Measures};
    use sandboxd_audit::{Kind, Record};

    #[test]
    fn a_logs_name_says_when_it_was_begun() {
        let at = Stamp(1_795_618_862_123);
        assert_eq!(began(&format!("{}-17-0a1b2c3d", at.name())), at.text());
        for other in ["", "2026", "some.jsonl", "20261125X150102123-1-0", "2026112éT15010212"] {
            assert_eq!(began(other), "", "{other}");
        }
    }

    #[test]
    fn a_time_is_long_ago_or_in_utc() {
        for text in ["90s", "30m", "6h", "2d", "2026-11-25", "2026-11-25T15:00"] {
            assert!(since(text).is_ok(), "{text}");
        }
        for text in ["", "s", "yesterday", "3w", "-1d"] {
            let why = since(text).unwrap_err();
            assert!(why.starts_with("not a time; "), "{text}: {why}");
        }
    }

    #[test]
    fn records_of_many_logs_are_told_in_the_order_of_their_times_and_once() {
        let path = std::env::temp_dir().join(format!("sandboxd-merged-{}", std::process::id()));
        std::fs::remove_dir_all(&path).ok();
        std::fs::create_dir(&path).unwrap();
        let begin = || Log::begin(Folder::at(&path).unwrap(), Measures::default()).unwrap();
        let write = |log: &mut Log, method: &str| {
            // Times have milliseconds.
            std::thread::sleep(Duration::from_millis(3));
            let record = Record { method: Some(method.to_owned()), ..Record::of(Kind::Started) };
            log.append(&record).unwrap();
        };
        let heard = |reader: &mut Reader, most: usize| {
            let mut heard: Vec<String> = Vec::new();
            let all = reader.each(|line| {
                heard.extend(line.text_at("/method").map(str::to_owned));
                heard.len() < most
            });
            (heard.concat(), all.unwrap())
        };
        let (mut first, mut second) = (begin(), begin());
        write(&mut first, "a");
        write(&mut second, "b");
        write(&mut first, "c");
        std::thread::sleep(Duration::from_millis(3));
        let middle = Stamp::now();
        write(&mut second, "d");
        let source = || Source::find(Some(&path)).unwrap();
        let mut reader = Reader::new(source(), None);
        assert_eq!(heard(&mut reader, usize::MAX), (String::from("abcd"), true));
        assert_eq!(heard(&mut reader, usize::MAX), (String::new(), true));
        write(&mut first, "e");
        let mut third = begin();
        write(&mut third, "f");
        second.close().unwrap();
        assert_eq!(heard(&mut reader, usize::MAX), (String::from("ef"), true));
        assert_eq!(heard(&mut Reader::new(source(), None), 2), (String::from("ab"), false));
        let mut later = Reader::new(source(), Some(middle));
        assert_eq!(heard(&mut later, usize::MAX), (String::from("def"), true));
        let from = Some(Stamp::now().before(Duration::ZERO));
        std::thread::sleep(Duration::from_millis(3));
        assert_eq!(heard(&mut Reader::new(source(), from), usize::MAX), (String::new(), true));
        std::fs::remove_dir_all(&path).unwrap();
    }
}
