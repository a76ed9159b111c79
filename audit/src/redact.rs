//! Secrets are taken out by value, in [every form](hide::forms) in which they are likely to stand somewhere.

use crate::hide::{self, Hidden, SHORTEST};
use aho_corasick::{AhoCorasick, MatchKind};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// Words in the name of a variable or key that say that its value is a secret.
const SECRET_NAMES: [&str; 12] = [
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "APIKEY",
    "API_KEY",
    "ACCESS_KEY",
    "PRIVATE_KEY",
    "CREDENTIAL",
    "AUTH",
    "COOKIE",
];

/// Whether a variable or key of this name holds a secret.
#[must_use]
pub fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_uppercase().replace('-', "_");
    name.ends_with("_KEY") || SECRET_NAMES.iter().any(|word| name.contains(word))
}

/// What takes secrets out of a text.
#[derive(Default)]
pub struct Redactor {
    forms: Forms,
    names: Vec<String>,
    hidden: Vec<Arc<Hidden>>,
}

/// What is looked for.
#[derive(Default)]
enum Forms {
    /// Nothing: there is no secret.
    #[default]
    None,
    /// Any of these.
    These(AhoCorasick),
    /// More than can be looked for, so that any text may hold one.
    TooMany,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The values are nobody's business.
        write!(to, "Redactor of {} forms", self.names.len())
    }
}

impl Redactor {
    /// For these values, by the names that stand for them afterwards.
    #[must_use]
    pub fn of<'a>(secrets: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let (mut forms, mut names) = (Vec::new(), Vec::new());
        for (name, value) in secrets.into_iter().filter(|(_, value)| value.len() >= SHORTEST) {
            for form in hide::forms(value.as_bytes()) {
                forms.push(form.collect::<Vec<u8>>());
                names.push(name.to_owned());
            }
        }
        if forms.is_empty() {
            return Self::default();
        }
        // The longest first, so that no form hides a longer one that begins alike.
        let looked_for = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .ascii_case_insensitive(true)
            .build(forms);
        let forms = looked_for.map_or(Forms::TooMany, Forms::These);
        Self { forms, names, hidden: Vec::new() }
    }

    /// The same, and for these.
    #[must_use]
    pub fn and(self, hidden: Vec<Arc<Hidden>>) -> Self {
        Self { hidden, ..self }
    }

    /// The text, with each secret replaced by its name.
    #[must_use]
    pub fn clean<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let clean = hide::clean(self.hidden.iter().map(Arc::as_ref), text);
        let text = clean.map_or(Cow::Borrowed(text), Cow::Owned);
        self.variables(&text).map_or(text, Cow::Owned)
    }

    /// The text without the values of variables; nothing where it has none.
    fn variables(&self, text: &str) -> Option<String> {
        let forms = match &self.forms {
            Forms::These(forms) if forms.is_match(text) => forms,
            Forms::None | Forms::These(_) => return None,
            Forms::TooMany => return Some(String::from("«secret»")),
        };
        let mut clean = String::with_capacity(text.len());
        forms.replace_all_with(text, &mut clean, |found, _, to| {
            let name = self.names.get(found.pattern().as_usize()).map_or("", String::as_str);
            to.push_str(&format!("«secret:{name}»"));
            true
        });
        Some(clean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::base64;

    const SECRET: &str = "s3cr3t/\"va?lue+";

    #[test]
    fn a_secret_is_found_in_every_encoding() {
        let redactor = Redactor::of([("API_KEY", SECRET)]);
        let json = serde_json::Value::from(SECRET).to_string();
        let mut texts = vec![
            format!("before {SECRET} after"),
            format!("{{\"key\":{json}}}"),
            String::from("https://host/?key=s3cr3t%2F%22va%3Flue%2B&x=1"),
            String::from("https://host/?key=s3cr3t%2f%22va%3flue%2b&x=1"),
            String::from("https://host/s3cr3t/%22va%3Flue%2B"),
            String::from("https://host/?key=s3cr3t/%22va?lue+"),
        ];
        for before in ["", "a", "ab", "user:"] {
            for after in ["", "z", "zz"] {
                texts.push(base64(format!("{before}{SECRET}{after}").as_bytes()));
            }
        }
        for text in texts {
            let clean = redactor.clean(&text);
            assert!(clean.contains("«secret:API_KEY»"), "{text} -> {clean}");
            assert!(!clean.contains("s3cr3t"), "{clean}");
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        let redactor = Redactor::of([("SHORT", "abc"), ("TOKEN", "long-enough")]);
        assert_eq!(redactor.clean("abc abcdef"), "abc abcdef");
        assert_eq!(Redactor::default().clean("long-enough"), "long-enough");
        assert_eq!(redactor.clean("long-enough"), "«secret:TOKEN»");
        assert!(!format!("{redactor:?}").contains("long"));
    }

    #[test]
    fn names_that_say_secret_are_known() {
        for name in
            ["GITHUB_TOKEN", "aws-secret", "DB_PASSWORD", "ANTHROPIC_API_KEY", "SIGNING_KEY"]
        {
            assert!(is_secret_name(name), "{name}");
        }
        for name in ["PATH", "HOME", "KEYBOARD", "MONKEY", "LANG"] {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn where_not_all_can_be_looked_for_no_text_is_kept() {
        let redactor = Redactor { forms: Forms::TooMany, ..Redactor::default() };
        assert_eq!(redactor.clean("anything"), "«secret»");
    }
}
