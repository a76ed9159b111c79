//! Checkpoints: signed notes as C2SP has them (`tlog-checkpoint`, `signed-note`), so that any witness
//! or monitor of transparency logs can keep one. A few hundred bytes that, kept elsewhere, stand for every
//! record before them.

use crate::encode::{base64, hex, unbase64};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use rustix::rand::GetRandomFlags;
use sha2::{Digest, Sha256};

/// The byte that stands for Ed25519 in the id of a key (`signed-note`).
const ED25519: u8 = 1;

/// A key that is nowhere but in memory, and gone with the segment that it signs.
pub(crate) struct Key {
    key: SigningKey,
}

impl Key {
    /// A new one, from the kernel's random numbers.
    pub(crate) fn make() -> rustix::io::Result<Self> {
        let mut seed = [0; 32];
        let mut filled = 0;
        while let Some(room) = seed.get_mut(filled..).filter(|room| !room.is_empty()) {
            filled += rustix::io::retry_on_intr(|| {
                rustix::rand::getrandom(&mut *room, GetRandomFlags::empty())
            })?;
        }
        Ok(Self { key: SigningKey::from_bytes(&seed) })
    }

    /// What its signatures are verified with, in hexadecimal digits.
    pub(crate) fn public(&self) -> String {
        hex(self.key.verifying_key().as_bytes())
    }

    /// The signed note for a tree.
    pub(crate) fn sign(&self, origin: &str, size: u64, root: &[u8; 32]) -> String {
        let text = format!("{origin}\n{size}\n{}\n", base64(root));
        let id = key_id(origin, &self.key.verifying_key());
        let signature = self.key.sign(text.as_bytes()).to_bytes();
        format!("{text}\n— {origin} {}\n", base64(&[&id, signature.as_slice()].concat()))
    }
}

fn key_id(name: &str, key: &VerifyingKey) -> [u8; 4] {
    let digest =
        Sha256::digest([name.as_bytes(), b"\n", &[ED25519], key.as_bytes().as_slice()].concat());
    let [a, b, c, d, ..]: [u8; 32] = digest.into();
    [a, b, c, d]
}

/// What a note says, whoever signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The segment: `sandboxd-audit/LOG/NUMBER`.
    pub origin: String,
    /// How many records it is about.
    pub size: u64,
    /// The root of their tree.
    pub root: [u8; 32],
    text: String,
    /// Key id and signature, of the line that has the origin's name.
    signature: Vec<u8>,
}

impl Note {
    /// From its text.
    #[must_use]
    pub fn parse(note: &str) -> Option<Self> {
        let (text, signatures) = note.split_once("\n\n")?;
        let mut lines = text.split('\n');
        let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
        let plain = size.bytes().all(|byte| byte.is_ascii_digit()) && !size.starts_with("00");
        if lines.next().is_some() || origin.is_empty() || !plain {
            return None;
        }
        let own = format!("— {origin} ");
        let signature = signatures.lines().find_map(|line| line.strip_prefix(own.as_str()))?;
        Some(Self {
            origin: origin.to_owned(),
            size: size.parse().ok()?,
            root: unbase64(root)?.try_into().ok()?,
            text: format!("{text}\n"),
            signature: unbase64(signature)?,
        })
    }

    /// Each note of a file of them, one after the other.
    #[must_use]
    pub fn parse_all(text: &str) -> Option<Vec<Self>> {
        let mut notes = Vec::new();
        let mut rest = text.trim_matches('\n');
        while !rest.is_empty() {
            // A note is three lines, an empty one, and the lines of its signatures. An empty one may be missing
            // after it: exports of before had none at their end, and more was written behind them.
            let (body, after) = rest.split_once("\n\n")?;
            let signed = after.split_inclusive('\n').take_while(|line| line.starts_with("— "));
            let (signatures, more) = after.split_at_checked(signed.map(str::len).sum())?;
            notes.push(Self::parse(&format!("{body}\n\n{signatures}"))?);
            rest = more.trim_matches('\n');
        }
        Some(notes)
    }

    /// Whether this public key signed it.
    #[must_use]
    pub fn is_signed_by(&self, public: &str) -> bool {
        let Some(key) =
            crate::encode::unhex(public).and_then(|key| VerifyingKey::from_bytes(&key).ok())
        else {
            return false;
        };
        let Some((id, signature)) = self.signature.split_at_checked(4) else { return false };
        let Ok(signature) = Signature::from_slice(signature) else { return false };
        // Strict: no key and no signature that would fit more than one message.
        id == key_id(&self.origin, &key)
            && key.verify_strict(self.text.as_bytes(), &signature).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_reads_as_it_was_written_and_any_other_is_refused() {
        let key = Key::make().unwrap();
        let text = key.sign("sandboxd-audit/x/0", 7, &[3; 32]);
        let note = Note::parse(&text).unwrap();
        assert_eq!(
            (note.origin.as_str(), note.size, note.root),
            ("sandboxd-audit/x/0", 7, [3; 32])
        );
        assert!(note.is_signed_by(&key.public()));
        assert!(!note.is_signed_by(&Key::make().unwrap().public()));
        for (from, to) in [("\n7\n", "\n8\n"), ("/x/", "/y/"), ("AwMD", "AwME")] {
            let forged = text.replace(from, to);
            assert_ne!(forged, text);
            assert!(!Note::parse(&forged).is_some_and(|note| note.is_signed_by(&key.public())));
        }
    }

    #[test]
    fn no_flipped_bit_of_a_note_goes_unnoticed() {
        let key = Key::make().unwrap();
        let text = key.sign("sandboxd-audit/x/0", 7, &[3; 32]);
        for at in 0..text.len() * 8 {
            let mut bytes = text.clone().into_bytes();
            bytes[at / 8] ^= 1 << (at % 8);
            let Ok(flipped) = String::from_utf8(bytes) else { continue };
            let good = Note::parse(&flipped).is_some_and(|note| note.is_signed_by(&key.public()));
            // The last line end is the only byte that says nothing.
            assert!(
                !good || flipped.trim_end() == text.trim_end() || at / 8 == text.len() - 1,
                "{at}"
            );
        }
    }

    #[test]
    fn a_file_may_hold_many_notes() {
        let key = Key::make().unwrap();
        let one = key.sign("sandboxd-audit/x/0", 7, &[3; 32]);
        let two = key.sign("sandboxd-audit/x/0", 9, &[4; 32]);
        let notes = Note::parse_all(&format!("{one}\n{two}")).unwrap();
        assert_eq!(notes.iter().map(|note| note.size).collect::<Vec<_>>(), [7, 9]);
        assert!(notes.iter().all(|note| note.is_signed_by(&key.public())));
        assert_eq!(
            Note::parse_all(&format!("{one}\n{two}\n{one}\n")).map(|all| all.len()),
            Some(3)
        );
        // Two exports of before, one written behind the other.
        let behind = Note::parse_all(&format!("{one}\n{two}{one}\n{two}")).unwrap();
        assert_eq!(behind.iter().map(|note| note.size).collect::<Vec<_>>(), [7, 9, 7, 9]);
        assert_eq!(Note::parse_all(&format!("{one}x\n{two}")), None);
        assert_eq!(Note::parse_all(""), Some(vec![]));
        assert_eq!(Note::parse_all("x"), None);
    }
}
