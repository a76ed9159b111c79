//! Patterns of JSON Schema are those of ECMAScript; here they run in linear time, or not at all.

use super::SchemaError;
use regex::{Regex, RegexBuilder};

/// The most memory that one pattern may take, in bytes.
const SIZE: usize = 1 << 18;

/// The pattern, with ECMAScript's meaning of its classes.
pub(super) fn compile(pattern: &str) -> Result<Regex, SchemaError> {
    let wrong = |why: &str| Err(SchemaError(format!("pattern {pattern:?}: {why}")));
    let mut text = String::with_capacity(pattern.len());
    let mut letters = pattern.chars().peekable();
    let mut class = false;
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                // There they mean ASCII, here they would mean all of Unicode.
                Some('d') => text.push_str("[0-9]"),
                Some('D') => text.push_str("[^0-9]"),
                Some('w') => text.push_str("[A-Za-z0-9_]"),
                Some('W') => text.push_str("[^A-Za-z0-9_]"),
                Some('b' | 'B') if class => return wrong("this escape differs between parsers"),
                Some('b') => text.push_str("(?-u:\\b)"),
                Some('A' | 'z' | 'Z' | 'B' | 'x' | 'c' | 'k' | 'u' | '0'..='9') => {
                    return wrong("this escape differs between parsers");
                }
                Some(other) => text.extend(['\\', other]),
                None => return wrong("ends in a backslash"),
            },
            '[' if class => return wrong("a bracket in a class needs a backslash"),
            '[' => {
                class = true;
                text.push('[');
            }
            ']' if class => {
                class = false;
                text.push(']');
            }
            '&' | '-' | '~' if class && letters.peek() == Some(&letter) => {
                return wrong("two of these in a class mean something else to some parsers");
            }
            '(' if !class && letters.peek() == Some(&'?') => {
                text.push('(');
                let kind: String = letters.clone().take(2).collect();
                if kind != "?:" {
                    return wrong("groups that look around or have flags are not linear");
                }
            }
            _ => text.push(letter),
        }
    }
    RegexBuilder::new(&text)
        .size_limit(SIZE)
        .dfa_size_limit(SIZE)
        .build()
        .map_err(|_| SchemaError(format!("pattern {pattern:?} cannot be checked in linear time")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_mean_what_they_mean_to_the_tool() {
        assert!(compile("^\\d+$").unwrap().is_match("123"));
        assert!(!compile("^\\d+$").unwrap().is_match("١٢٣"), "Arabic digits are none there");
        assert!(compile("^[\\w.-]+$").unwrap().is_match("a_b.c-d"));
        assert!(!compile("^[\\w.-]+$").unwrap().is_match("é"));
        assert!(compile("^\\/srv\\/").unwrap().is_match("/srv/x"));
        assert!(!compile("^a$").unwrap().is_match("a\n"));
    }

    #[test]
    fn what_is_not_linear_or_not_the_same_everywhere_is_refused() {
        for pattern in [
            "(?=a)",
            "(?<!a)b",
            "(a)\\1",
            "[a&&b]",
            "[[a]]",
            "(?i)a",
            "(",
            "a{1000}{1000}{1000}",
            "\\",
        ] {
            assert!(compile(pattern).is_err(), "{pattern}");
        }
        let slow = compile("^(a+)+$").unwrap();
        assert!(!slow.is_match(&("a".repeat(100_000) + "b")));
    }
}
