//! What the audit log holds. What cannot be found out is left out.

use crate::audit_folder;
use std::fs::DirEntry;
use std::io;
use std::path::Path;

/// How much it holds, for how long that is kept, and how much room there is.
pub(super) fn held() -> String {
    let Ok(path) = audit_folder::path() else { return String::new() };
    let days = audit_folder::retention().ok().map(|kept| kept.days);
    let room = rustix::fs::statvfs(&path).ok().map(|disk| disk.f_bavail * disk.f_frsize);
    words(segments(&path).ok(), days, room)
}

/// How many segments there are, and their bytes.
fn segments(path: &Path) -> io::Result<(u64, u64)> {
    let (mut count, mut bytes) = (0, 0);
    for folder in files(path)? {
        if !folder.file_type()?.is_dir() {
            continue;
        }
        for file in files(&folder.path())? {
            match file.metadata() {
                Ok(found) => (count, bytes) = (count + 1, bytes + found.len()),
                // Put away or removed since it was listed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok((count, bytes))
}

fn files(folder: &Path) -> io::Result<Vec<DirEntry>> {
    std::fs::read_dir(folder)?.collect()
}

fn words(segments: Option<(u64, u64)>, days: Option<u32>, room: Option<u64>) -> String {
    let held = segments.map(|(count, bytes)| {
        let bytes = bytes >> 20;
        format!("; {count} segments of logs, {bytes} MiB")
    });
    let days = days.map(|days| format!(", kept for {days} days"));
    let room = room.map(|room| format!("; {} MiB are free", room >> 20));
    let known = held.into_iter().chain(days).chain(room);
    known.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_left_out() {
        let all = words(Some((3, 5 << 20)), Some(7), Some(9 << 20));
        assert_eq!(all, "; 3 segments of logs, 5 MiB, kept for 7 days; 9 MiB are free");
        assert_eq!(words(None, Some(7), None), ", kept for 7 days");
        assert_eq!(words(None, None, None), "");
        assert!(segments(Path::new("/nonexistent")).is_err());
    }
}
