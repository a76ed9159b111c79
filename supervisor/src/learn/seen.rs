//! What the observer tells: one record after the other, of which only lengths are taken apart.

use std::collections::{BTreeMap, BTreeSet};

/// What a command needs of a path, a set of bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Need(u16);

impl Need {
    pub(crate) const READ: Self = Self(1);
    pub(crate) const WRITE: Self = Self(1 << 1);
    pub(crate) const EXECUTE: Self = Self(1 << 2);
    /// A name is made or removed in its folder.
    pub(crate) const NAME: Self = Self(1 << 3);
    /// A folder is made.
    pub(crate) const FOLDER: Self = Self(1 << 4);
    /// A system call, by the number that stands for the path.
    pub(crate) const CALL: Self = Self(1 << 5);

    /// It was not there.
    pub(crate) const ABSENT: Self = Self(1 << 6);
    /// It was asked what it is, and no more.
    pub(crate) const LOOK: Self = Self(1 << 7);
    /// A name that led through a link: the link's own place, and what was named in it.
    pub(crate) const LINK: Self = Self(1 << 8);

    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(crate) const fn is_nothing(self) -> bool {
        self.0 == 0
    }
}

/// One thing that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) need: Need,
    /// Whether it is a folder.
    pub(crate) folder: bool,
    /// Where it really is, no link on the way; or a number.
    pub(crate) path: Vec<u8>,
    /// What the thread called itself.
    pub(crate) by: Vec<u8>,
}

/// `PATH_MAX`, and as long as a name of a thread gets.
pub(crate) const LONGEST: usize = 4096;
const LONGEST_NAME: usize = 16;
/// So many records are read, and no more: what a command does can have no end.
pub(crate) const MOST: usize = 200_000;
/// And no more bytes than this.
pub(crate) const MOST_BYTES: u64 = 64 << 20;

/// Everything that was seen, once each.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct All {
    /// By path: what is needed of it, whether it is a folder, and who needed it first.
    pub(crate) paths: BTreeMap<Vec<u8>, (Need, bool, Vec<u8>)>,
    /// Numbers of system calls, and who made each first.
    pub(crate) calls: BTreeMap<u32, Vec<u8>>,
    /// Names that led through links, and who named each first.
    pub(crate) links: BTreeMap<Vec<u8>, Vec<u8>>,
    /// There was more than is read.
    pub(crate) cut: bool,
}

impl Seen {
    /// The record.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let path = self.path.get(..LONGEST).unwrap_or(&self.path);
        let by = self.by.get(..LONGEST_NAME).unwrap_or(&self.by);
        let length = u16::try_from(path.len()).unwrap_or(0).to_le_bytes();
        let name = u8::try_from(by.len()).unwrap_or(0);
        let need = self.need.0.to_le_bytes();
        let mut record = vec![need[0], need[1], u8::from(self.folder), name, length[0], length[1]];
        record.extend(path);
        record.extend(by);
        record
    }
}

impl All {
    /// Reads records; what comes after one that is none is not read.
    pub(crate) fn read(mut bytes: &[u8]) -> Self {
        let mut all = Self::default();
        for _ in 0..MOST {
            let Some((seen, rest)) = record(bytes) else { break };
            all.add(seen);
            bytes = rest;
        }
        all.cut = !bytes.is_empty();
        all.forget_what_was_only_listed();
        all
    }

    /// What was looked at and no more is needed as if it was read; but not where its whole folder was listed:
    /// what is not shown there is not listed the next time, and nobody looks at it.
    fn forget_what_was_only_listed(&mut self) {
        let listed = |need: Need, folder: bool| folder && need.has(Need::READ);
        let known = self.paths.iter();
        let folders = known.filter(|(_, (need, folder, _))| listed(*need, *folder));
        let folders: BTreeSet<Vec<u8>> = folders.map(|(path, _)| path.clone()).collect();
        let parent = |path: &[u8]| {
            let end = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
            path.get(..end.max(1)).unwrap_or_default().to_vec()
        };
        self.paths
            .retain(|path, (need, ..)| *need != Need::LOOK || !folders.contains(&parent(path)));
        for (need, ..) in self.paths.values_mut().filter(|(need, ..)| need.has(Need::LOOK)) {
            *need = need.without(Need::LOOK).and(Need::READ);
        }
    }

    fn add(&mut self, seen: Seen) {
        if seen.need.has(Need::CALL) {
            let number = std::str::from_utf8(&seen.path).ok().and_then(|text| text.parse().ok());
            if let Some(number) = number {
                self.calls.entry(number).or_insert(seen.by);
            }
            return;
        }
        if seen.need.has(Need::LINK) {
            self.links.entry(seen.path).or_insert(seen.by);
            return;
        }
        let known = self.paths.entry(seen.path).or_insert((Need::default(), false, seen.by));
        // What came into being meanwhile was there.
        let (was, is) = (known.0.has(Need::ABSENT), seen.need.has(Need::ABSENT));
        known.0 = match (was, is, known.0.is_nothing()) {
            (true, false, _) => seen.need,
            (false, true, false) => known.0,
            _ => known.0.and(seen.need),
        };
        known.1 |= seen.folder;
    }
}

fn record(bytes: &[u8]) -> Option<(Seen, &[u8])> {
    let (&[need, more, folder, name, low, high], rest) = bytes.split_first_chunk::<6>()?;
    let (path, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes([low, high])))?;
    let (by, rest) = rest.split_at_checked(usize::from(name))?;
    if path.len() > LONGEST || by.len() > LONGEST_NAME || folder > 1 {
        return None;
    }
    let need = Need(u16::from_le_bytes([need, more]));
    let seen = Seen { need, folder: folder == 1, path: path.to_vec(), by: by.to_vec() };
    Some((seen, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_they_were_written_and_up_to_what_is_none() {
        let one = Seen {
            need: Need::READ.and(Need::EXECUTE),
            folder: false,
            path: b"/a\n\x1b/b".to_vec(),
            by: b"sh".to_vec(),
        };
        let call =
            Seen { need: Need::CALL, folder: false, path: b"206".to_vec(), by: b"db".to_vec() };
        let link =
            Seen { need: Need::LINK, folder: false, path: b"/a/link".to_vec(), by: b"sh".to_vec() };
        let mut bytes = [one.encode(), call.encode(), link.encode(), one.encode()].concat();
        let all = All::read(&bytes);
        assert_eq!(all.links.keys().collect::<Vec<_>>(), [&link.path]);
        assert_eq!(all.paths.len(), 1);
        assert_eq!(all.paths.get(one.path.as_slice()), Some(&(one.need, false, one.by.clone())));
        assert_eq!((all.calls.len(), all.cut), (1, false));
        bytes.extend([1, 2, 0, 0, 0]);
        let cut = All::read(&bytes);
        assert_eq!((cut.paths, cut.calls, cut.cut), (all.paths, all.calls, true));
        assert!(All::read(&bytes[..3]).cut);
    }

    #[test]
    fn what_was_looked_at_is_needed_but_in_a_folder_that_was_listed() {
        let seen = |need: Need, folder: bool, path: &str| Seen {
            need,
            folder,
            path: path.as_bytes().to_vec(),
            by: Vec::new(),
        };
        let all = [
            seen(Need::LOOK, false, "/etc/motd"),
            seen(Need::LOOK, false, "/etc/issue"),
            seen(Need::READ, false, "/etc/issue"),
            seen(Need::READ, true, "/etc"),
            seen(Need::LOOK, false, "/srv/flag"),
            seen(Need::LOOK, false, "/flag"),
        ];
        let bytes: Vec<u8> = all.iter().flat_map(Seen::encode).collect();
        let paths = All::read(&bytes).paths;
        let kept: Vec<_> =
            paths.iter().map(|(path, (need, ..))| (path.as_slice(), *need)).collect();
        let read = [b"/etc".as_slice(), b"/etc/issue", b"/flag", b"/srv/flag"];
        assert_eq!(kept, read.map(|path| (path, Need::READ)));
    }
}
