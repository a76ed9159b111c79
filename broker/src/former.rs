//! What a secret was before it was renewed goes on to be covered, the last few times: an answer may still say it, and
//! each takes memory that is locked. The broker and the egress process let go of them by this one rule.

/// So many that a secret was before are still covered.
pub const BEFORE: usize = 8;

/// Has this one covered as well, as the last that its secret was. What it was too many times before is let go of;
/// what it was already is kept once.
pub fn keep<T>(
    all: &mut Vec<T>,
    one: T,
    is_same: impl Fn(&T, &T) -> bool,
    is_of_same: impl Fn(&T, &T) -> bool,
) {
    all.retain(|known| !is_same(known, &one));
    let before = all.iter().filter(|known| is_of_same(known, &one)).count();
    for _ in BEFORE..before {
        let oldest = all.iter().position(|known| is_of_same(known, &one));
        oldest.into_iter().for_each(|oldest| drop(all.remove(oldest)));
    }
    all.push(one);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_each_secret_the_last_few_are_kept_once() {
        let mut all = Vec::new();
        let mut know = |one: (&'static str, usize)| {
            keep(&mut all, one, PartialEq::eq, |known, one| known.0 == one.0);
            all.clone()
        };
        know(("other", 0));
        (0..20).for_each(|value| drop(know(("s", value))));
        let last = |newest: usize| (newest - BEFORE..=newest).map(|value| ("s", value));
        assert!(know(("s", 19)).into_iter().eq([("other", 0)].into_iter().chain(last(19))));
        // What it was some time before is the last that it was, where it is that again.
        let again = know(("s", 15));
        assert_eq!((again.len(), again.last()), (BEFORE + 2, Some(&("s", 15))));
    }
}
