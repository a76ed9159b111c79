//! What is in the body of an answer, as it comes: without what frames it, and with secrets covered.

use crate::{
    http::Body,
    mask::{self, Mask},
};
use sandboxd_egress_plan::Verdict;

/// What is in a body.
#[derive(Debug)]
pub(super) struct Content {
    body: Body,
    /// What a secret may begin in.
    held: Vec<u8>,
    /// So many bytes of that went on already, and are known again where the rest of one follows.
    gone: usize,
    /// So many bytes of that belong to a secret that began before them.
    covered: usize,
}

/// How much is to go on.
#[derive(Debug, Clone, Copy)]
pub(super) enum Until {
    /// That in which no secret can begin any more.
    Settled,
    /// All, since nothing has followed for a while.
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
        let settled = mask.map_or(all, |mask| mask.settled(&self.held));
        let found = mask.map_or(Vec::new(), |mask| mask.find(&self.held));
        let goes = match until {
            Until::Settled if !self.is_over() => settled,
            Until::Settled | Until::Late | Until::End => all,
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
        self.gone < self.held.len()
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

    /// What goes on of these pieces, each where the one before is looked at.
    fn pieces_by(mask: &Mask, pieces: &[&[u8]], then: &[Until]) -> Vec<Vec<u8>> {
        let length = pieces.iter().map(|piece| piece.len()).sum::<usize>();
        let mut content = Content::new(Body::new(Framing::Length(u64::try_from(length).unwrap())));
        let mut out = Vec::new();
        for piece in pieces {
            let mut piece = piece.to_vec();
            for until in then {
                out.push(content.take(&mut piece, *until, Some(mask)).unwrap());
            }
        }
        assert!(content.is_over() && !content.waits());
        out
    }

    /// All of it, where one comes right after the other.
    fn said_by(mask: &Mask, pieces: &[&[u8]]) -> String {
        String::from_utf8(pieces_by(mask, pieces, &[Until::Settled]).concat()).unwrap()
    }

    /// All of it, where there is a while between them.
    fn slowly(pieces: &[&[u8]]) -> String {
        let all = pieces_by(&mask(), pieces, &[Until::Settled, Until::Late, Until::Late]);
        String::from_utf8(all.concat()).unwrap()
    }

    fn cut<'a>(text: &'a str, at: &[usize]) -> Vec<&'a [u8]> {
        let mut ends: Vec<usize> = at.iter().map(|at| (*at).min(text.len())).collect();
        ends.sort_unstable();
        let mut from = 0;
        let piece = |end| {
            let piece = text.as_bytes().get(from..end).unwrap();
            from = end;
            piece
        };
        ends.into_iter().chain([text.len()]).map(piece).collect()
    }

    #[test]
    fn what_follows_a_pause_within_a_secret_is_covered() {
        let (first, second) = SECRET.split_at(9);
        let said = slowly(&[b"key: ", first.as_bytes(), second.as_bytes(), b" end"]);
        assert_eq!(said, format!("key: {first}{} end", "*".repeat(12)));
        let said = slowly(&[b"all s", b"k-", &SECRET.as_bytes()[3..], b"!"]);
        assert_eq!(said, format!("all sk-{}!", "*".repeat(18)));
    }

    #[test]
    fn of_secrets_that_share_bytes_no_part_comes_out_however_it_is_cut() {
        let mut secrets = Secrets::default();
        for value in ["hunter2", "hunter2!xyz", "xyzabcd", "bcdefgh"] {
            secrets.push(value.as_bytes()).unwrap();
        }
        let mask = Mask::of(&secrets, |_| true, None).unwrap();
        for text in ["a hunter2!xyz b", "a hunter2!xyzabcd b", "xyzabcdefgh, hunter2!xy"] {
            let whole = said_by(&mask, &[text.as_bytes()]);
            for first in 0..text.len() {
                for second in first..text.len() {
                    assert_eq!(said_by(&mask, &cut(text, &[first, second])), whole);
                }
            }
        }
    }

    #[test]
    fn lines_go_on_at_once_and_the_rest_after_a_while() {
        let mask = mask();
        let mut content = Content::new(Body::new(Framing::Length(100)));
        let mut take = |bytes: &[u8], until| {
            let heard = content.take(&mut bytes.to_vec(), until, Some(&mask)).unwrap();
            (String::from_utf8(heard).unwrap(), content.waits())
        };
        assert_eq!(take(b"data: one\n\n", Until::Settled), ("data: one\n\n".into(), false));
        assert_eq!(take(b"task", Until::Settled), (String::new(), true));
        assert_eq!(take(b"", Until::Late), ("task".into(), false));
        assert_eq!(take(b" is sk-hunter2-0", Until::Settled), (String::new(), true));
        assert_eq!(take(b"", Until::End), (" is sk-hunter2-0".into(), false));
    }

    proptest! {
        #[test]
        fn however_it_is_cut_nothing_of_it_comes_out(
            before in "[sk-]{0,6}", after in "[ -~]{0,6}",
            cuts in proptest::collection::vec(0_usize..34, 0..12),
        ) {
            let whole = format!("{before}{SECRET}{after}");
            let said = said_by(&mask(), &cut(&whole, &cuts));
            prop_assert_eq!(said, format!("{before}{}{after}", "*".repeat(SECRET.len())));
        }

        #[test]
        fn after_a_pause_the_rest_of_it_is_covered(
            before in "[sk-]{0,6}", after in "[ -~]{0,6}",
            cuts in proptest::collection::vec(0_usize..34, 0..12),
        ) {
            let whole = format!("{before}{SECRET}{after}");
            let end = before.len() + SECRET.len();
            let pieces = cut(&whole, &cuts);
            let ends = pieces.iter().scan(0, |at, piece| {
                *at += piece.len();
                Some(*at)
            });
            // All of it that came with its last piece.
            let from = ends.filter(|at| *at < end).max().unwrap_or(0).max(before.len());
            let said = pieces_by(&mask(), &pieces, &[Until::Settled, Until::Late]).concat();
            prop_assert!(said[from..end].iter().all(|byte| *byte == b'*'));
            prop_assert_eq!(&said[end..], after.as_bytes());
        }

        /// Whoever has a host say what they choose learns nothing by how much of it comes when.
        #[test]
        fn how_much_goes_on_is_not_told_by_what_it_is(
            at in 0_usize..400, of in 0_usize..=21, length in 22_usize..400,
            cuts in proptest::collection::vec(0_usize..400, 0..12), late in any::<bool>(),
        ) {
            let nothing = ".".repeat(length);
            let mut like = nothing.clone();
            let at = at % (length - of);
            like.replace_range(at..at + of, &SECRET[..of]);
            let then: &[Until] = if late { &[Until::Settled, Until::Late] } else { &[Until::Settled] };
            let sizes = |text: &str| -> Vec<usize> {
                pieces_by(&mask(), &cut(text, &cuts), then).iter().map(Vec::len).collect()
            };
            prop_assert_eq!(sizes(&like), sizes(&nothing));
        }
    }
}
