//! Covers secrets in what comes back: whoever has the key may say it back, and it is not for the sandbox.
//! As many bytes as were there stay there, so that lengths stay what they are.

use crate::secret::{SecretError, Secrets, append, unlocked};
use sandboxd_audit::hide::{self, SHORTEST};
use sandboxd_broker::former::keep;
use sandboxd_kernel::locked::Locked;
use std::{cmp::Ordering, fmt, ops::Range};
use zeroize::Zeroizing;

/// One thing that is looked for, until it lies with the others.
type Form = Zeroizing<Vec<u8>>;

/// What a secret is or was.
struct Value {
    /// Its number.
    secret: usize,
    bytes: Form,
}

/// What a covered byte is.
const COVER: u8 = b'*';

/// What is looked for.
pub struct Mask {
    /// All forms, one behind the other and in order, in memory that is kept as that of the secrets is.
    bytes: Locked,
    forms: Vec<Range<usize>>,
    /// Which of them are what the secret of this number is and was, the oldest first.
    values: Vec<(usize, usize)>,
    /// Behind them: for each byte, whether one begins with it. Most bytes of an answer are none of those.
    begins: Range<usize>,
    /// How many bytes the longest of them has.
    longest: usize,
    /// Whether none of them goes on beyond the end of a line.
    ends_with_lines: bool,
}

impl fmt::Debug for Mask {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "Mask of {} forms", self.forms.len())
    }
}

impl Mask {
    /// For each of these that is to be covered, by its number, in [each of its forms](hide::forms), and for what it was
    /// [the last few times](sandboxd_broker::former), which the one before covers already.
    ///
    /// # Errors
    /// Where no more memory can be locked.
    pub fn of(
        secrets: &Secrets,
        covers: impl Fn(usize) -> bool,
        before: Option<&Self>,
    ) -> Result<Self, SecretError> {
        let mut all: Vec<Value> = before.map(Self::values).unwrap_or_default();
        let covered = |(secret, value): &(usize, &[u8])| value.len() >= SHORTEST && covers(*secret);
        for (secret, value) in secrets.all().enumerate().filter(covered) {
            let one = Value { secret, bytes: Form::new(value.to_vec()) };
            let is_same =
                |known: &Value, one: &Value| known.secret == one.secret && known.bytes == one.bytes;
            keep(&mut all, one, is_same, |known, one| known.secret == one.secret);
        }
        let mut forms: Vec<Form> = Vec::new();
        for value in all.iter().map(|one| &one.bytes) {
            let counted = hide::forms(value).into_iter().map(Iterator::count);
            forms.extend(hide::forms(value).into_iter().zip(counted).map(whole));
        }
        forms.sort_by(|one, other| in_order(one, other));
        forms.dedup_by(|one, other| one.as_slice() == other.as_slice());
        let room: usize = forms.iter().map(|form| form.len()).sum();
        let mut firsts = Zeroizing::new([0; 256]);
        for first in forms.iter().filter_map(|form| form.first()) {
            for first in [first.to_ascii_lowercase(), first.to_ascii_uppercase()] {
                firsts.get_mut(usize::from(first)).into_iter().for_each(|begins| *begins = 1);
            }
        }
        let mut bytes = Locked::with_room(room + firsts.len()).map_err(|_| unlocked())?;
        let mut places = Vec::with_capacity(forms.len());
        for form in &forms {
            let from = bytes.bytes().len();
            append(&mut bytes, form);
            places.push(from..bytes.bytes().len());
        }
        append(&mut bytes, &*firsts);
        let place = |one: &Value| {
            let form = forms.binary_search_by(|form| in_order(form, &one.bytes));
            Some((one.secret, form.ok()?))
        };
        let values = all.iter().filter_map(place).collect();
        let longest = forms.iter().map(|form| form.len()).max().unwrap_or(0);
        let ends_with_lines = forms.iter().all(|form| !form.contains(&b'\n'));
        let begins = room..bytes.bytes().len();
        Ok(Self { values, forms: places, begins, bytes, longest, ends_with_lines })
    }

    /// What it covers, the oldest of each secret first.
    fn values(&self) -> Vec<Value> {
        let value = |(secret, form): &(usize, usize)| {
            let bytes = self.bytes.bytes().get(self.forms.get(*form)?.clone())?;
            Some(Value { secret: *secret, bytes: Form::new(bytes.to_vec()) })
        };
        self.values.iter().filter_map(value).collect()
    }

    fn form(&self, place: &Range<usize>) -> &[u8] {
        self.bytes.bytes().get(place.clone()).unwrap_or_default()
    }

    /// The forms that begin as this does.
    fn forms_at(&self, rest: &[u8]) -> impl Iterator<Item = &[u8]> {
        let first = |bytes: &[u8]| bytes.first().map(u8::to_ascii_lowercase);
        let wanted = first(rest);
        let from = self.forms.partition_point(|place| first(self.form(place)) < wanted);
        let forms = self.forms.get(from..).unwrap_or_default().iter().map(|place| self.form(place));
        forms.take_while(move |form| first(form) == wanted)
    }

    /// Covers what is found.
    pub fn cover(&self, bytes: &mut [u8]) {
        self.find(bytes).into_iter().for_each(|place| cover(bytes, place));
    }

    /// How many of these bytes are what they stay, whatever follows: in the rest something may begin that is looked
    /// for. How many these are does not depend on whether it does: whoever has a host say what they choose, and sees
    /// how much of it waits, would find a secret out byte by byte.
    #[must_use]
    pub fn settled(&self, bytes: &[u8]) -> usize {
        let far = bytes.len().saturating_sub(self.longest.saturating_sub(1));
        let near = bytes.get(far..).unwrap_or_default();
        let line = near.iter().rposition(|byte| *byte == b'\n').filter(|_| self.ends_with_lines);
        line.map_or(far, |end| far + end + 1)
    }

    /// Where something is that is looked for. Whoever looks again when more is there keeps what is not settled as it
    /// was: what was found in it may be within something longer.
    #[must_use]
    pub fn find(&self, bytes: &[u8]) -> Vec<Range<usize>> {
        let mut at = 0;
        let mut found = Vec::new();
        let begins = self.bytes.bytes().get(self.begins.clone()).unwrap_or_default();
        let begins = |byte: &u8| begins.get(usize::from(*byte)).is_none_or(|begins| *begins != 0);
        while let Some(next) = bytes.get(at..).and_then(|rest| rest.iter().position(begins)) {
            at += next;
            let rest = bytes.get(at..).unwrap_or_default();
            for form in self.forms_at(rest) {
                if rest.get(..form.len()).is_some_and(|one| one.eq_ignore_ascii_case(form)) {
                    found.push(at..at + form.len());
                }
            }
            at += 1;
        }
        found
    }
}

/// Covers this, as far as it is there.
pub fn cover(bytes: &mut [u8], place: Range<usize>) {
    let place = place.start.min(bytes.len())..place.end.min(bytes.len());
    if let Some(place) = bytes.get_mut(place) {
        place.fill(COVER);
    }
}

/// A form in memory of its length: what a buffer grows out of would not be overwritten.
fn whole((form, length): (hide::Form<'_>, usize)) -> Form {
    let mut whole = Form::new(Vec::with_capacity(length));
    whole.extend(form);
    whole
}

/// By their small letters first: whatever begins alike lies together.
fn in_order(one: &[u8], other: &[u8]) -> Ordering {
    let small = u8::to_ascii_lowercase;
    one.iter().map(small).cmp(other.iter().map(small)).then_with(|| one.cmp(other))
}

/// A value as it stands in a query.
#[must_use]
pub fn escaped(value: &[u8]) -> Zeroizing<Vec<u8>> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut text = Zeroizing::new(Vec::with_capacity(value.len() * 3));
    for byte in value {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            text.push(*byte);
        } else {
            let digit = |four: u8| DIGITS.get(usize::from(four)).copied().unwrap_or(b'0');
            text.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sandboxd_audit::encode::base64;
    use sandboxd_broker::former::BEFORE;

    const SECRET: &str = "s3cr3t/\"va?lue+";

    fn mask() -> Mask {
        let mut secrets = Secrets::default();
        secrets.push(SECRET.as_bytes()).unwrap();
        secrets.push(b"short").unwrap();
        Mask::of(&secrets, |_| true, None).unwrap()
    }

    fn covered(text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        mask().cover(&mut bytes);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn it_is_covered_in_every_form_and_nothing_else_is() {
        assert_eq!(covered("x s3cr3t/\"va?lue+ y short"), "x *************** y short");
        assert_eq!(covered("k=s3cr3t%2F%22va%3Flue%2B&"), format!("k={}&", "*".repeat(23)));
        for before in ["", "a", "ab", "user:"] {
            let text = base64(format!("{before}{SECRET}z").as_bytes());
            let covered = covered(&text);
            assert!(covered.contains("*****************"), "{text} {covered}");
        }
        assert_eq!(covered("nothing of it"), "nothing of it");
        let digits: String = SECRET.bytes().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(covered(&format!("{digits} ")), format!("{} ", "*".repeat(30)));
        assert_eq!(covered(&format!("{} ", digits.to_uppercase())), format!("{} ", "*".repeat(30)));
        assert_eq!(covered("s3cr3t/\\\"va?lue+ "), format!("{} ", "*".repeat(16)));
        assert_eq!(covered("s3cr3t/\\u0022va?lue\\u002B "), format!("{} ", "*".repeat(25)));
    }

    #[test]
    fn what_is_no_secret_is_not_covered() {
        let mut secrets = Secrets::default();
        secrets.push(b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5").unwrap();
        secrets.push(b"a-secret").unwrap();
        let mask = Mask::of(&secrets, |secret| secret != 0, None).unwrap();
        let mut bytes = *b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 a-secret";
        mask.cover(&mut bytes);
        assert_eq!(&bytes, b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 ********");
    }

    #[test]
    fn what_was_a_secret_before_is_covered_with_what_is_one_now() {
        let mut secrets = Secrets::default();
        secrets.push(b"another-one").unwrap();
        let both = Mask::of(&secrets, |_| true, Some(&mask())).unwrap();
        let again = Mask::of(&secrets, |_| true, Some(&both)).unwrap();
        assert_eq!(again.forms, both.forms);
        let mut bytes = format!("{SECRET} another-one").into_bytes();
        both.cover(&mut bytes);
        assert_eq!(bytes, format!("{} {}", "*".repeat(15), "*".repeat(11)).as_bytes());
    }

    #[test]
    fn what_was_a_secret_too_many_times_before_is_let_go_of() {
        const FORMS_OF_ONE: usize = 16;
        let mut mask = mask();
        for round in 0..3 * BEFORE {
            let mut secrets = Secrets::default();
            secrets.push(format!("{round:04}-is-what-it-was").as_bytes()).unwrap();
            secrets.push(b"the-other-stays").unwrap();
            mask = Mask::of(&secrets, |_| true, Some(&mask)).unwrap();
            assert!(mask.forms.len() <= (BEFORE + 2) * FORMS_OF_ONE, "{round}: {mask:?}");
        }
        let covers = |text: &str| {
            let mut bytes = text.as_bytes().to_vec();
            mask.cover(&mut bytes);
            bytes.contains(&COVER)
        };
        let last = 3 * BEFORE - 1;
        for round in 0..=last {
            let text = format!("{round:04}-is-what-it-was");
            assert_eq!(covers(&text), last - round <= BEFORE, "{text}");
            assert_eq!(covers(&base64(text.as_bytes())), last - round <= BEFORE, "{text}");
        }
        assert!(covers("the-other-stays") && !covers(SECRET));
    }

    #[test]
    fn how_much_waits_is_not_told_by_what_it_is() {
        let mask = mask();
        for (one, other) in [("abc s3cr3t/", "abc s3cr3tX"), ("s3cr3t/\"va?lue", "nothing of it.")]
        {
            for before in [0, 20, 200] {
                let waits = |text: &str| mask.settled(format!("{:before$}{text}", "").as_bytes());
                assert_eq!(waits(one), waits(other), "{one} {other}");
            }
        }
        assert_eq!(mask.settled(b"a line\nand more"), 7);
        // One that has lines itself is not done with at the end of one.
        let mut secrets = Secrets::default();
        secrets.push(b"two\nlines").unwrap();
        let mask = Mask::of(&secrets, |_| true, None).unwrap();
        assert_eq!(mask.settled(b"a line: two\n"), 0);
        let text = [&[b' '; 100][..], b"two\n"].concat();
        assert_eq!(mask.settled(&text), 104 - (mask.longest - 1));
    }

    proptest! {
        #[test]
        fn it_is_covered_however_it_is_cut(before in "[s3c]{0,9}", after in "[ -~]{0,9}", at in 0_usize..40) {
            let whole = format!("{before}{SECRET}{after}");
            let (mask, mut held, mut out) = (mask(), Vec::new(), Vec::new());
            let (first, second) = whole.as_bytes().split_at(at.min(whole.len()));
            for piece in [first, second] {
                held.extend_from_slice(piece);
                mask.cover(&mut held);
                let settled = mask.settled(&held);
                out.extend(held.drain(..settled));
            }
            out.extend(held);
            let out = String::from_utf8(out).unwrap();
            prop_assert!(!out.contains(SECRET) && out.len() == whole.len());
        }
    }
}
