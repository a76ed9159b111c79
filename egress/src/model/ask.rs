//! The body of a call, as it passes by: whether its answer says what it used, and how long it is.

use super::json::{Finder, Found};
use sandboxd_egress_plan::{Use, Verdict};

/// Reads the body of a call.
#[derive(Debug, Default)]
pub struct Ask {
    finder: Finder,
    /// The model that it names.
    model: String,
    bytes: u64,
}

impl Ask {
    /// Reads more of it, before it goes on: what is refused has never been said to its end.
    ///
    /// # Errors
    /// Where the answer would be made in the background, and somebody else told what it used; where it
    /// is no JSON, or lies too deep for that to be seen of all of it.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Verdict> {
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        let (mut background, mut deep, model) = (false, false, &mut self.model);
        let read = self.finder.push(bytes, &mut |path, found| match (path, found) {
            ([key], Found::Word("false" | "null")) if is_background(key) => {}
            // Whatever else it is, somebody may take it for yes.
            ([key], _) if is_background(key) => background = true,
            ([key], Found::Text(text, _)) if key == "model" => *model = Use::name(text),
            (_, Found::Deep) => deep = true,
            _ => {}
        });
        if background || deep || read.is_err() { Err(Verdict::Uncounted) } else { Ok(()) }
    }

    /// The model that it names, as far as it was read.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// How many bytes of it there were.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Whether somebody may take it for the key that has an answer made in the background.
fn is_background(key: &str) -> bool {
    key.eq_ignore_ascii_case("background")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_answered_in_the_background_is_never_said_to_its_end() {
        let mut ask = Ask::default();
        assert_eq!(ask.push(br#"{"model":"m-1","input":{"background":true},"bac"#), Ok(()));
        assert_eq!((ask.model(), ask.bytes()), ("m-1", 47));
        assert_eq!(ask.push(br#"kground" : true"#), Ok(()));
        assert_eq!(ask.push(b"}"), Err(Verdict::Uncounted));
        let mut ask = Ask::default();
        assert_eq!(
            ask.push(br#"{"\u0062ackground":true,"background":false}"#),
            Err(Verdict::Uncounted)
        );
        for value in ["true", "1", "0", "\"true\"", "\"\"", "{}", "[]", "{\"a\":1}"] {
            for key in ["background", "Background"] {
                let text = format!("{{\"{key}\":{value},\"n\":1}}");
                let pushed = Ask::default().push(text.as_bytes());
                assert_eq!(pushed, Err(Verdict::Uncounted), "{text}");
            }
        }
        for text in [r#"{"background":false,"n":null}"#, r#"{"background":null}"#] {
            assert_eq!(Ask::default().push(text.as_bytes()), Ok(()), "{text}");
        }
        assert_eq!(Ask::default().push(b"model=x"), Err(Verdict::Uncounted));
        for (depth, may) in [(60, Ok(())), (70, Err(Verdict::Uncounted))] {
            let text = format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
            assert_eq!(Ask::default().push(text.as_bytes()), may, "{depth}");
        }
    }
}
