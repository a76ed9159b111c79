//! What differs between two texts, line by line.

/// Lines that stand around what differs.
const AROUND: usize = 2;
/// So many pairs of lines are compared; of texts that differ in more, one is shown after the other.
const MOST: usize = 1 << 20;

/// A line of either text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line<'t> {
    Both(&'t str),
    Old(&'t str),
    New(&'t str),
}

/// The lines that differ, with a sign before each and some that do not around them.
pub(super) fn lines(old: &str, new: &str) -> Vec<String> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let all = compare(&old, &new);
    let differs = |at: usize| all.get(at).is_some_and(|line| !matches!(line, Line::Both(_)));
    let near = |at: usize| (at.saturating_sub(AROUND)..=at + AROUND).any(differs);
    let mut told = Vec::new();
    let mut left_out = false;
    for (at, line) in all.iter().enumerate() {
        if !near(at) {
            left_out = true;
            continue;
        }
        if std::mem::take(&mut left_out) {
            told.push(String::from("  …"));
        }
        told.push(match line {
            Line::Both(text) => format!("  {text}"),
            Line::Old(text) => format!("- {text}"),
            Line::New(text) => format!("+ {text}"),
        });
    }
    told
}

/// All lines, those that both texts have once.
fn compare<'t>(old: &[&'t str], new: &[&'t str]) -> Vec<Line<'t>> {
    let same = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    let (head, old) = old.split_at(same);
    let new = new.get(same..).unwrap_or_default();
    let same = old.iter().rev().zip(new.iter().rev()).take_while(|(old, new)| old == new).count();
    let (old, tail) = old.split_at(old.len() - same);
    let new = new.get(..new.len() - same).unwrap_or_default();
    let mut all: Vec<Line<'t>> = head.iter().map(|line| Line::Both(line)).collect();
    if old.len().saturating_mul(new.len()) > MOST {
        all.extend(old.iter().map(|line| Line::Old(line)));
        all.extend(new.iter().map(|line| Line::New(line)));
    } else {
        all.extend(between(old, new));
    }
    all.extend(tail.iter().map(|line| Line::Both(line)));
    all
}

/// By the longest run of lines that both have in this order.
fn between<'t>(old: &[&'t str], new: &[&'t str]) -> Vec<Line<'t>> {
    // How many lines both have from here on, for each place in both.
    let width = new.len() + 1;
    let mut longest = vec![0_usize; (old.len() + 1) * width];
    let of = |longest: &[usize], row: usize, column: usize| {
        longest.get(row * width + column).copied().unwrap_or(0)
    };
    for (row, before) in old.iter().enumerate().rev() {
        for (column, after) in new.iter().enumerate().rev() {
            let both = of(&longest, row + 1, column + 1) + 1;
            let either = of(&longest, row + 1, column).max(of(&longest, row, column + 1));
            if let Some(place) = longest.get_mut(row * width + column) {
                *place = if before == after { both } else { either };
            }
        }
    }
    let (mut row, mut column, mut all) = (0, 0, Vec::new());
    loop {
        match (old.get(row), new.get(column)) {
            (Some(before), Some(after)) if before == after => {
                all.push(Line::Both(before));
                (row, column) = (row + 1, column + 1);
            }
            (Some(before), after)
                if after.is_none()
                    || of(&longest, row + 1, column) >= of(&longest, row, column + 1) =>
            {
                all.push(Line::Old(before));
                row += 1;
            }
            (_, Some(after)) => {
                all.push(Line::New(after));
                column += 1;
            }
            (_, None) => return all,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(old: &[&str], new: &[&str]) -> String {
        lines(&old.join("\n"), &new.join("\n")).join("|")
    }

    #[test]
    fn what_differs_is_told_with_what_stands_around_it() {
        let old = ["a", "b", "c", "d", "e", "f", "g", "h"];
        assert_eq!(of(&old, &old), "");
        let new = ["a", "b", "c", "d", "E", "f", "g", "h"];
        assert_eq!(of(&old, &new), "  …|  c|  d|- e|+ E|  f|  g");
        assert_eq!(of(&old, &old[..7]), "  …|  f|  g|- h");
        assert_eq!(of(&old[1..], &old), "+ a|  b|  c");
        assert_eq!(of(&[], &["a"]), "+ a");
        assert_eq!(of(&["a", "x", "b"], &["a", "y", "x", "b"]), "  a|+ y|  x|  b");
        assert_eq!(of(&["a", "b"], &["b", "a"]), "- a|  b|+ a");
    }

    #[test]
    fn texts_of_many_lines_are_told_one_after_the_other() {
        let all = |word: &str| (0..3000).map(|at| format!("{word}{at}\n")).collect::<String>();
        let told = lines(&all("old"), &all("new"));
        assert_eq!(told.len(), 6000);
        assert!(told.iter().take(3000).all(|line| line.starts_with("- old")));
    }
}
