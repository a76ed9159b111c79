//! What is in the body of an answer, as it comes: without what frames it, and with secrets covered.

use crate::{
    http::Body,
    mask::{self, Mask},
};
use sandboxd_egress_plan::Verdict;

/// So many bytes of what may be a secret go on where nothing follows for a while: many a text ends so. Of more
/// none does before it is known what follows.
const FEW: usize = 3;

/// What is in a body.
#[derive(Debug)]
pub(super) struct Content {
    body: Body,
    /// What may be the beginning of a secret.
    held: Vec<u8>,
    /// So many bytes of that went on already, and are known again where the rest of a secret follows.
    gone: usize,
    /// So many bytes of that belong to a secret that began before them.
    covered: usize,
}

/// How much is to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// What cannot be the beginning of a secret any more.
    Settled,
    /// That, and a few bytes more, since nothing has followed for a while.
    Late,
    /// All, since nothing follows.
    End,
}

impl Content {
    /// Of this one.
    pub(super) const fn new(body: Body) -> Self {
        Self { body, held: Vec::new(), gone: 0, covered: 0 }
    }

    /// Takes what is there of the body, and returns what is in that, covered by this where it is.
    pub(super) fn take(
        &mut self,
        from: &mut Vec<u8>,
        until: Until,
        mask: Option<&Mask>,
    ) -> Result<Vec<u8>, Verdict> {
        let taken = self.body.take_and_hear(from, &mut Vec::new(), &mut self.held);
        from.drain(..taken.map_err(|_| Verdict::Reply)?);
        let all = self.held.len();
        let (found, settled) = mask.map_or((Vec::new(), all), |mask| mask.find(&self.held));
        let few = all - settled <= FEW;
        let goes = match until {
            _ if self.is_over() => all,
            Until::End => all,
            Until::Late if few => all,
            Until::Late | Until::Settled => settled,
        };
        let goes = goes.max(self.gone);
        let mut bytes = self.held.get(..goes).unwrap_or_default().to_vec();
        mask::cover(&mut bytes, 0..self.covered);
        found.iter().cloned().for_each(|place| mask::cover(&mut bytes, place));
        bytes.drain(..self.gone.min(goes));
        // What went on and is settled need not be known any more.
        let known = settled.min(goes);
        self.held.drain(..known);
        let began = found.iter().filter(|place| place.start < known).map(|place| place.end);
        self.covered = began.max().unwrap_or(0).max(self.covered).saturating_sub(known);
        self.gone = goes - known;
        Ok(bytes)
    }

    /// Whether something waits for what follows that would go on without it.
    pub(super) fn waits(&self) -> bool {
        (1..=FEW).contains(&self.held.len()) && self.gone < self.held.len()
    }

    /// Whether there is no more of it.
    pub(super) fn is_over(&self) -> bool {
        self.body.is_over()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{http::Framing, secret::Secrets};
    use proptest::prelude::*;

    const SECRET: &str = "sk-hunter2-0123456789";

    fn mask() -> Mask {
        let mut secrets = Secrets::default();
        secrets.push(SECRET.as_bytes()).unwrap();
        Mask::of(&secrets, |_| true, None).unwrap()
    }

    /// What goes on of these pieces, with a while between them.
    fn slowly(pieces: &[&[u8]]) -> String {
        slowly_by(&mask(), pieces)
    }

    fn slowly_by(mask: &Mask, pieces: &[&[u8]]) -> String {
        let mut out = Vec::new();
        let length = pieces.iter().map(|piece| piece.len()).sum::<usize>();
        let mut content = Content::new(Body::new(Framing::Length(u64::try_from(length).unwrap())));
        for piece in pieces {
            let mut piece = piece.to_vec();
            for until in [Until::Settled, Until::Late, Until::Late] {
                out.extend(content.take(&mut piece, until, Some(mask)).unwrap());
            }
        }
        assert!(content.is_over() && !content.waits());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn no_pause_brings_a_secret_out() {
        let (first, second) = SECRET.split_at(9);
        let said = slowly(&[b"key: ", first.as_bytes(), second.as_bytes(), b" end"]);
        assert_eq!(said, format!("key: {} end", "*".repeat(21)));
        // Byte by byte, of which a few go on before it is known whether they are one.
        let pieces: Vec<&[u8]> = SECRET.as_bytes().chunks(1).collect();
        assert_eq!(slowly(&pieces), format!("sk-{}", "*".repeat(18)));
    }

    #[test]
    fn of_secrets_that_share_bytes_no_part_comes_out_however_it_is_cut() {
        let mut secrets = Secrets::default();
        for value in ["hunter2", "hunter2!xyz", "xyzabcd", "bcdefgh"] {
            secrets.push(value.as_bytes()).unwrap();
        }
        let mask = Mask::of(&secrets, |_| true, None).unwrap();
        for text in ["a hunter2!xyz b", "a hunter2!xyzabcd b", "xyzabcdefgh, hunter2!xy"] {
            let whole = slowly_by(&mask, &[text.as_bytes()]);
            for first in 0..text.len() {
                for second in first..text.len() {
                    let (one, rest) = text.as_bytes().split_at(first);
                    let (two, three) = rest.split_at(second - first);
                    // A few bytes of what only may be one go on after a while.
                    let said = slowly_by(&mask, &[one, two, three]);
                    let same = said.bytes().zip(whole.bytes()).filter(|(a, b)| a != b).count();
                    assert!(same <= 2 * FEW, "{text} cut at {first}, {second}: {said}");
                    for rest in ["!xyz", "abcd", "efgh"] {
                        assert!(!said.contains(rest) || whole.contains(rest), "{said}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_only_begins_like_one_goes_on() {
        assert_eq!(
            slowly(&[b"tas", b"k", b" is sk-", b"hunter2", b"-0 done s"]),
            "task is sk-hunter2-0 done s"
        );
        let mut content = Content::new(Body::new(Framing::Length(100)));
        let mask = mask();
        let held = content.take(&mut b"all s".to_vec(), Until::Settled, Some(&mask)).unwrap();
        assert!(held == b"all " && content.waits());
        let late = content.take(&mut Vec::new(), Until::Late, Some(&mask)).unwrap();
        assert!(late == b"s" && !content.waits());
        let more = content.take(&mut b"k-hunter".to_vec(), Until::Late, Some(&mask)).unwrap();
        assert!(more.is_empty() && !content.waits());
        let rest = content.take(&mut Vec::new(), Until::End, Some(&mask)).unwrap();
        assert_eq!(rest, b"k-hunter");
    }

    proptest! {
        #[test]
        fn however_it_is_cut_no_more_than_a_few_bytes_of_it_come_out(
            before in "[sk-]{0,6}", after in "[ -~]{0,6}",
            cuts in proptest::collection::vec(0_usize..34, 0..12),
        ) {
            let whole = format!("{before}{SECRET}{after}");
            let mut cuts: Vec<usize> = cuts.into_iter().map(|at| at.min(whole.len())).collect();
            cuts.sort_unstable();
            let ends = cuts.iter().copied().chain([whole.len()]);
            let mut from = 0;
            let pieces: Vec<&[u8]> = ends.map(|end| {
                let piece = &whole.as_bytes()[from..end];
                from = end;
                piece
            }).collect();
            let said = slowly(&pieces);
            prop_assert_eq!(said.len(), whole.len());
            prop_assert!(!said.contains("hunter2"), "{}", said);
        }
    }
}
