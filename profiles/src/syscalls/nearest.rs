//! The name somebody meant.

/// The known name that takes the fewest single-letter changes, where that is few enough to be meant:
/// a third of the letters.
pub(super) fn nearest(
    text: &str,
    known: impl Iterator<Item = &'static str>,
) -> Option<&'static str> {
    known
        .map(|name| (distance(text, name), name))
        .min()
        .filter(|(changes, _)| *changes <= text.chars().count().div_ceil(3))
        .map(|(_, name)| name)
}

/// Levenshtein distance.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (place, left) in from.chars().enumerate() {
        let mut corner = place;
        let mut before = place + 1;
        let mut next = vec![before];
        for (right, above) in to.chars().zip(row.iter().skip(1)) {
            before = (*above + 1).min(before + 1).min(corner + usize::from(left != right));
            corner = *above;
            next.push(before);
        }
        row = next;
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_understood_and_nonsense_is_not() {
        let known = || ["openat", "openat2", "mount", "clone"].into_iter();
        assert_eq!(nearest("opnat", known()), Some("openat"));
        assert_eq!(nearest("mounts", known()), Some("mount"));
        assert_eq!(nearest("fork_bomb", known()), None);
        assert_eq!(nearest("", known()), None);
    }

    #[test]
    fn distances_count_single_letters() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
    }
}
