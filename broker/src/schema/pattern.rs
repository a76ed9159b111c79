//! Patterns of JSON Schema are those of ECMAScript; here they run in linear time, or not at all.

use super::SchemaError;
use regex::{Error, Regex, RegexBuilder};

/// Within which of these many bytes one is compiled. What it takes is not told: it is the least that is enough.
const SIZES: [usize; 5] = [1 << 9, 1 << 11, 1 << 13, 1 << 15, 1 << 18];

/// The most bytes of its text: each `\p{L}` in it takes thousands while it is read.
const LONGEST: usize = 4096;

/// A pattern that is compiled.
#[derive(Debug)]
pub(super) struct Pattern {
    regex: Regex,
    /// As it was written.
    text: Box<str>,
    size: usize,
}

impl Pattern {
    /// The pattern, with ECMAScript's meaning of its classes. Each try to compile it is taken from `left`, as what
    /// is kept of it, also where it comes to nothing.
    pub(super) fn compile(pattern: &str, left: &mut usize) -> Result<Self, SchemaError> {
        let text = translated(pattern)?;
        for size in SIZES {
            // It is kept forwards, backwards and in part; and then there is what each has.
            super::take(left, 4 * size + (8 << 10))?;
            match RegexBuilder::new(&text).size_limit(size).dfa_size_limit(1 << 18).build() {
                Ok(regex) => return Ok(Self { regex, text: pattern.into(), size }),
                Err(Error::CompiledTooBig(_)) => {}
                Err(_) => break,
            }
        }
        Err(SchemaError(format!("pattern {pattern:?} cannot be checked in linear time")))
    }

    /// How many steps of a check it is to look for it in a text: each letter may be looked at in each place of
    /// the pattern.
    pub(super) fn steps(&self, text: &str) -> usize {
        1 + (text.len() + 64).saturating_mul(self.size) / 4096
    }

    /// Whether the text has it. What it needs for that is thrown away: it may be more than the pattern itself.
    pub(super) fn is_match(&self, text: &str) -> bool {
        self.regex.clone().is_match(text)
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }
}

/// The same in the words of those that compile it. Its groups tell nobody what they found, and take less so.
fn translated(pattern: &str) -> Result<String, SchemaError> {
    if pattern.len() > LONGEST {
        return Err(SchemaError(format!("a pattern of more than {LONGEST} bytes")));
    }
    let wrong = |why: &str| Err(SchemaError(format!("pattern {pattern:?}: {why}")));
    let mut text = String::with_capacity(pattern.len());
    let mut letters = pattern.chars().peekable();
    let mut class = false;
    let mut range = Range::Closed;
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => {
                let Some(escaped) = letters.next() else { return wrong("ends in a backslash") };
                let many = meaning(escaped).is_some() || matches!(escaped, 'p' | 'P');
                if class && many && range == Range::Open {
                    return wrong("a range that ends in a class differs between parsers");
                }
                range = if many { Range::Closed } else { range.after_letter() };
                match in_our_words(escaped, &letters.clone().take(2).collect::<String>(), class) {
                    Some(ours) => text.push_str(&ours),
                    None => return wrong("this escape differs between parsers"),
                }
            }
            '[' if class => return wrong("a bracket in a class needs a backslash"),
            '[' => {
                (class, range) = (true, Range::Closed);
                text.push('[');
                text.extend(letters.next_if_eq(&'^'));
                if letters.peek() == Some(&']') {
                    return wrong("a class of nothing means something else to some parsers");
                }
            }
            ']' if class => {
                class = false;
                text.push(']');
            }
            '&' | '-' | '~' if class && letters.peek() == Some(&letter) => {
                return wrong("two of these in a class mean something else to some parsers");
            }
            '-' if class && range == Range::Begun => {
                range = Range::Open;
                text.push('-');
            }
            '(' if !class && letters.peek() == Some(&'?') => {
                text.push('(');
                let kind: String = letters.clone().take(2).collect();
                if kind != "?:" {
                    return wrong("groups that look around or have flags are not linear");
                }
            }
            '(' if !class => text.push_str("(?:"),
            '.' if !class => text.push_str("[^\\n\\r\\u{2028}\\u{2029}]"),
            _ => {
                range = range.after_letter();
                text.push(letter);
            }
        }
    }
    Ok(text)
}

/// How far a range of a class is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Range {
    /// What was read is the whole of something.
    Closed,
    /// A letter was read: one may begin there.
    Begun,
    /// A letter and a `-`: the next letter is its end.
    Open,
}

impl Range {
    const fn after_letter(self) -> Self {
        match self {
            Self::Closed | Self::Begun => Self::Begun,
            Self::Open => Self::Closed,
        }
    }
}

/// What stands for an escape before these letters; nothing where some understand it otherwise.
fn in_our_words(escaped: char, next: &str, class: bool) -> Option<String> {
    let same = match escaped {
        'f' | 'n' | 'r' | 't' | 'v' => true,
        'p' | 'P' => next.starts_with('{') && next != "{^",
        _ => escaped.is_ascii_punctuation() && !matches!(escaped, '<' | '>'),
    };
    match (meaning(escaped), escaped) {
        (Some(meaning), _) => Some(meaning.to_owned()),
        (None, 'b') if !class => Some(String::from("(?-u:\\b)")),
        (None, _) => same.then(|| format!("\\{escaped}")),
    }
}

/// What an escape means there, where it means more here: all of Unicode in place of ASCII, and other spaces.
const fn meaning(escaped: char) -> Option<&'static str> {
    Some(match escaped {
        'd' => "[0-9]",
        'D' => "[^0-9]",
        'w' => "[A-Za-z0-9_]",
        'W' => "[^A-Za-z0-9_]",
        's' => r"[\t-\r\u{2028}\u{2029}\u{feff}\p{Zs}]",
        'S' => r"[^\t-\r\u{2028}\u{2029}\u{feff}\p{Zs}]",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compile(pattern: &str) -> Result<Pattern, SchemaError> {
        Pattern::compile(pattern, &mut (4 << 20))
    }

    #[test]
    fn classes_mean_what_they_mean_to_the_tool() {
        assert!(compile("^\\d+$").unwrap().is_match("123"));
        assert!(!compile("^\\d+$").unwrap().is_match("١٢٣"), "Arabic digits are none there");
        assert!(compile("^[\\w.-]+$").unwrap().is_match("a_b.c-d"));
        assert!(!compile("^[\\w.-]+$").unwrap().is_match("é"));
        assert!(compile("^\\/srv\\/").unwrap().is_match("/srv/x"));
        assert!(!compile("^a$").unwrap().is_match("a\n"));
        let spaces = compile("^[\\s]+$").unwrap();
        assert!(spaces.is_match("\t\n\u{b}\u{c}\r \u{a0}\u{2003}\u{2028}\u{2029}\u{feff}"));
        assert!(!spaces.is_match("\u{85}") && compile("^\\S$").unwrap().is_match("\u{85}"));
        assert!(["\n", "\r", "\u{2028}"].iter().all(|it| !compile("^.$").unwrap().is_match(it)));
        assert!(compile("^.[.]$").unwrap().is_match("é."));
        assert!(compile("^\\p{Lu}\\.\\-\\t$").unwrap().is_match("É.-\t"));
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
            "^\\<b\\>$",
            "\\a",
            "\\U00000041",
            "[\\e]",
            "\\pL",
            "\\p{^L}",
            "[]a]",
            "[^]a]",
            "^[.-\\s]*$",
            "[a-\\d]",
            "[\\--\\W]",
            "[x-z+-\\p{L}]",
        ] {
            assert!(compile(pattern).is_err(), "{pattern}");
        }
        let slow = compile("^(a+)+$").unwrap();
        assert!(!slow.is_match(&("a".repeat(100_000) + "b")));
        assert!(compile(&"\\pL".repeat(2000)).is_err(), "it is not even read");
    }

    #[test]
    fn what_takes_more_costs_more_and_a_try_costs_what_it_might_have_come_to() {
        let cost = |pattern: &str| {
            let mut left = usize::MAX;
            let compiled = Pattern::compile(pattern, &mut left);
            (usize::MAX - left, compiled.map_or(0, |it| it.steps(&"x".repeat(10_000))))
        };
        let (small, large) = (cost("^[a-z]+$"), cost("(?:a?){2000}"));
        assert!(small.0 < 16 << 10 && large.0 > 1 << 20, "{small:?} {large:?}");
        assert!(small.1 < 2000 && large.1 > 500_000, "{small:?} {large:?}");
        assert!(cost("a{1000}{1000}{1000}").0 > 1 << 20);
        assert!(cost("(").0 > 8 << 10);
        assert!(Pattern::compile("(?:a?){2000}", &mut (1 << 20)).is_err());
    }

    #[test]
    fn a_range_is_one_and_what_looks_like_one_is_none() {
        for (pattern, has, has_not) in [
            ("^[a-c\\s]+$", "a b c", "a-b"),
            ("^[-\\s]+$", "- -", "a"),
            ("^[\\d-]+$", "1-2", "a"),
            ("^[\\d-x-z]+$", "1-y", "a"),
            ("^[\\s\\-.]+$", " -.", "/"),
            ("^[+-\\-\\s]+$", "+,- ", "."),
            ("^[a-c-\\s]+$", "b- ", "d"),
        ] {
            let pattern = compile(pattern).unwrap();
            assert!(pattern.is_match(has) && !pattern.is_match(has_not), "{pattern:?}");
        }
    }

    #[test]
    fn who_is_refused_reads_the_pattern_as_it_was_written() {
        assert_eq!(compile("^.\\s$").unwrap().as_str(), "^.\\s$");
    }

    #[test]
    fn a_group_is_a_group_though_it_tells_nobody_what_it_found() {
        assert!(compile("^(a|b)+\\(([()])$").unwrap().is_match("aba()"));
    }
}
