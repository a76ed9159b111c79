//! A SAFETY comment says what the kernel or the callee does with what it is given.

use super::Finding;

/// Words that stand where a reason should.
const BANNED: &[&str] = &["trivial", "library function", "valid parameters", "obviously"];

pub(super) fn check(file: &str, text: &str, found: &mut Vec<Finding>) {
    let mut lines = text.lines().enumerate().peekable();
    while let Some((number, line)) = lines.next() {
        let Some(first) = line.trim_start().strip_prefix("// SAFETY:") else { continue };
        let mut comment = first.to_lowercase();
        while let Some((_, line)) = lines.next_if(|(_, line)| line.trim_start().starts_with("//")) {
            comment.push(' ');
            comment.push_str(&line.trim_start().trim_start_matches('/').trim().to_lowercase());
        }
        for banned in BANNED.iter().filter(|banned| comment.contains(**banned)) {
            found.push(Finding::new(
                "safety",
                file,
                format!("line {}: {banned:?} is no reason: say what is done with each pointer and descriptor", number + 1),
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_found_across_the_lines_of_one_comment_only() {
        let text =
            "// SAFETY: it is a library\n// function.\nunsafe {}\n// trivial, but no SAFETY\n";
        let mut found = Vec::new();
        check("a.rs", text, &mut found);
        let [finding] = found.as_slice() else { panic!("one finding") };
        assert!(finding.what.starts_with("line 1: \"library function\""));
    }
}
