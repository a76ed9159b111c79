//! Patterns of names, and what two lists of them have in common.

use crate::origin::Written;
use sandboxd_broker_plan::Pattern;

/// Whether all that one means the other means too.
pub(crate) fn covers(wide: &Pattern, narrow: &Pattern) -> bool {
    let beginning = narrow.as_str().strip_suffix('*');
    match (wide.as_str().strip_suffix('*'), beginning) {
        (Some(wide), Some(narrow)) => narrow.starts_with(wide),
        (Some(_), None) => wide.matches(narrow.as_str()),
        (None, Some(_)) => false,
        (None, None) => wide == narrow,
    }
}

/// What both lists mean, exactly: of two patterns one lies in the other, or they share no name.
pub(super) fn meet(one: &[Written<Pattern>], other: &[Written<Pattern>]) -> Vec<Pattern> {
    let mut both: Vec<Pattern> = Vec::new();
    for one in one {
        for other in other {
            let (one, other) = (&one.value, &other.value);
            let found = if covers(one, other) {
                other
            } else if covers(other, one) {
                one
            } else {
                continue;
            };
            if !both.iter().any(|known| covers(known, found)) {
                both.retain(|known| !covers(found, known));
                both.push(found.clone());
            }
        }
    }
    both
}

/// Those of one list that nothing of the other covers.
pub(super) fn beyond<'p>(list: &'p [Pattern], other: &[Pattern]) -> Vec<&'p Pattern> {
    list.iter().filter(|one| !other.iter().any(|wide| covers(wide, one))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::Origin;

    fn list(texts: &[&str]) -> Vec<Written<Pattern>> {
        let written = |text: &&str| Written {
            value: Pattern::try_from(*text).unwrap(),
            origin: Origin::named("test", "tools"),
        };
        texts.iter().map(written).collect()
    }

    #[test]
    fn the_meet_of_two_lists_means_what_both_mean() {
        let lists: [&[&str]; 7] = [
            &["*"],
            &["read_*"],
            &["read_text", "write"],
            &["read_text_*", "w*"],
            &[],
            &["read_", "read_*"],
            &["write*", "read_text_file", "r*"],
        ];
        let names = ["", "r", "read_", "read_text", "read_text_file", "write", "writer", "x"];
        for one in lists {
            for other in lists {
                let (one, other) = (list(one), list(other));
                let both = meet(&one, &other);
                let means = |list: &[Written<Pattern>], name: &str| {
                    list.iter().any(|pattern| pattern.value.matches(name))
                };
                for name in names {
                    assert_eq!(
                        both.iter().any(|pattern| pattern.matches(name)),
                        means(&one, name) && means(&other, name),
                        "{name:?} in {one:?} and {other:?}"
                    );
                }
            }
        }
    }
}
