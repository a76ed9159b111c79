//! Values of JSON as they pass by, however long it is and however it is cut: each with the keys that
//! lead to it. Nothing is kept but what was asked for last, and of that not more than a few letters.

/// How many lists and objects may lie in each other. What lies deeper is passed over: models write JSON of their own
/// into an answer, and what stands behind that counts.
const DEPTH: usize = 64;

/// How many letters of a key, a number or a text are kept.
const KEPT: usize = 128;

/// It is no JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotJson;

/// A value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Found<'a> {
    /// A text: how it begins, and how many bytes it has as it was written.
    Text(&'a str, u64),
    /// A number, as it was written.
    Number(&'a str),
    /// `true`, `false` or `null`.
    Word(&'a str),
    /// A list or an object begins. What is in it follows.
    Many,
    /// A byte of what lies too deep for its keys to be told.
    Deep,
}

impl Found<'_> {
    /// The number, where it is a whole one.
    #[must_use]
    pub fn count(&self) -> Option<u64> {
        if let Self::Number(text) = self { text.parse().ok() } else { None }
    }
}

/// What stands for the place in a list.
pub const ITEM: &str = "*";

/// Finds values.
#[derive(Debug, Default)]
pub struct Finder {
    state: State,
    /// The keys that lead to where it is; [`ITEM`] in a list.
    path: Vec<String>,
    /// How the text, number or word begins that is being read.
    kept: String,
    /// How long it is.
    length: u64,
    /// The digits of an escape.
    digits: String,
    /// How many lists and objects it is in beyond those of the path.
    deeper: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// A value comes.
    #[default]
    Value,
    /// A value, or the end of a list that has none.
    First,
    /// A key, or the end of an object that has none.
    FirstKey,
    /// A key.
    Key,
    /// The colon after a key.
    Colon,
    /// In a text, which is a key or not.
    Text { key: bool },
    /// After its backslash.
    Escape { key: bool },
    /// In the digits after `\u`.
    Digits { key: bool },
    /// In a number or a word.
    Bare,
    /// After a value.
    After,
    /// After the only value.
    Over,
    /// In what lies too deep.
    Deep,
    /// In a text there, where brackets are letters.
    DeepText,
    /// After its backslash.
    DeepEscape,
}

/// Told of each value.
pub type Told<'t> = &'t mut dyn FnMut(&[String], Found<'_>);

impl Finder {
    /// Reads more.
    ///
    /// # Errors
    /// Where it is no JSON. Nothing that follows means anything then.
    pub fn push(&mut self, bytes: &[u8], told: Told<'_>) -> Result<(), NotJson> {
        if self.take(bytes, told) == bytes.len() { Ok(()) } else { Err(NotJson) }
    }

    /// The same, and says how much of it was JSON.
    pub fn take(&mut self, bytes: &[u8], told: Told<'_>) -> usize {
        let odd = bytes.iter().position(|byte| self.byte(*byte, told).is_err());
        odd.unwrap_or(bytes.len())
    }

    fn byte(&mut self, byte: u8, told: Told<'_>) -> Result<(), NotJson> {
        let space = matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        match self.state {
            State::Text { key } => self.in_text(byte, key, told),
            State::Escape { key } => self.escape(byte, key),
            State::Digits { key } => self.in_digits(byte, key),
            State::Bare if byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.') => {
                self.keep(char::from(byte));
                Ok(())
            }
            State::Bare => {
                self.bare(told)?;
                if space { Ok(()) } else { self.between(byte) }
            }
            State::Deep | State::DeepText | State::DeepEscape => {
                self.pass_over(byte, told);
                Ok(())
            }
            _ if space => Ok(()),
            State::Value | State::First if byte != b']' => self.value(byte, told),
            State::FirstKey | State::Key if byte == b'"' => {
                self.begin(State::Text { key: true });
                Ok(())
            }
            State::Colon if byte == b':' => {
                self.state = State::Value;
                Ok(())
            }
            State::First | State::FirstKey | State::After => self.between(byte),
            State::Value | State::Key | State::Colon | State::Over => Err(NotJson),
        }
    }

    fn begin(&mut self, state: State) {
        self.kept.clear();
        self.length = 0;
        self.state = state;
    }

    fn keep(&mut self, letter: char) {
        self.length += 1;
        if self.kept.len() + letter.len_utf8() <= KEPT {
            self.kept.push(letter);
        }
    }

    fn value(&mut self, byte: u8, told: Told<'_>) -> Result<(), NotJson> {
        match byte {
            b'{' | b'[' if self.path.len() == DEPTH => {
                self.state = State::Deep;
                self.pass_over(byte, told);
            }
            b'{' => {
                told(&self.path, Found::Many);
                self.path.push(String::new());
                self.state = State::FirstKey;
            }
            b'[' => {
                told(&self.path, Found::Many);
                self.path.push(ITEM.to_owned());
                self.state = State::First;
            }
            b'"' => self.begin(State::Text { key: false }),
            b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => {
                self.begin(State::Bare);
                self.keep(char::from(byte));
            }
            _ => return Err(NotJson),
        }
        Ok(())
    }

    /// Too deep, only its end is looked for, so that however deep it is takes no room. Of what is JSON that is the
    /// right one.
    fn pass_over(&mut self, byte: u8, told: Told<'_>) {
        told(&self.path, Found::Deep);
        match (self.state, byte) {
            (State::Deep, b'"') | (State::DeepEscape, _) => self.state = State::DeepText,
            (State::DeepText, b'"') => self.state = State::Deep,
            (State::DeepText, b'\\') => self.state = State::DeepEscape,
            (State::Deep, b'{' | b'[') => self.deeper = self.deeper.saturating_add(1),
            (State::Deep, b'}' | b']') => {
                self.deeper = self.deeper.saturating_sub(1);
                if self.deeper == 0 {
                    self.done();
                }
            }
            _ => {}
        }
    }

    /// What stands between values, or ends those around them.
    fn between(&mut self, byte: u8) -> Result<(), NotJson> {
        let after = self.state == State::After;
        let in_list = self.path.last().is_some_and(|key| key == ITEM);
        match byte {
            b',' if after && in_list => self.state = State::Value,
            b',' if after && !self.path.is_empty() => self.state = State::Key,
            b']' if in_list && (after || self.state == State::First) => self.leave(),
            b'}' if !in_list && (after || self.state == State::FirstKey) => self.leave(),
            _ => return Err(NotJson),
        }
        Ok(())
    }

    fn leave(&mut self) {
        self.path.pop();
        self.done();
    }

    fn done(&mut self) {
        self.state = if self.path.is_empty() { State::Over } else { State::After };
    }

    fn in_text(&mut self, byte: u8, key: bool, told: Told<'_>) -> Result<(), NotJson> {
        match byte {
            b'\\' => self.state = State::Escape { key },
            b'"' if key => {
                let place = self.path.last_mut().ok_or(NotJson)?;
                // A key that looks like the place in a list is one that nobody asks for.
                place.clone_from(&self.kept);
                if place == ITEM {
                    place.push('?');
                }
                self.state = State::Colon;
            }
            b'"' => {
                told(&self.path, Found::Text(&self.kept, self.length));
                self.done();
            }
            0..0x20 => return Err(NotJson),
            // What is asked for has no other letters; how long it is counts.
            0x80.. => {
                self.length += 1;
                if self.kept.len() < KEPT {
                    self.kept.push('?');
                }
            }
            _ => self.keep(char::from(byte)),
        }
        Ok(())
    }

    fn escape(&mut self, byte: u8, key: bool) -> Result<(), NotJson> {
        self.state = State::Text { key };
        match byte {
            b'"' | b'\\' | b'/' => self.keep(char::from(byte)),
            b'b' | b'f' | b'n' | b'r' | b't' => self.keep(' '),
            b'u' => {
                self.digits.clear();
                self.state = State::Digits { key };
            }
            _ => return Err(NotJson),
        }
        Ok(())
    }

    fn in_digits(&mut self, byte: u8, key: bool) -> Result<(), NotJson> {
        if !byte.is_ascii_hexdigit() {
            return Err(NotJson);
        }
        self.digits.push(char::from(byte));
        if self.digits.len() == 4 {
            let code = u32::from_str_radix(&self.digits, 16).map_err(|_| NotJson)?;
            let letter = char::from_u32(code).filter(char::is_ascii);
            self.keep(letter.unwrap_or('?'));
            self.state = State::Text { key };
        }
        Ok(())
    }

    /// A number or a word has ended.
    fn bare(&mut self, told: Told<'_>) -> Result<(), NotJson> {
        let word = matches!(self.kept.as_str(), "true" | "false" | "null");
        let digit =
            |byte: u8| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E');
        if word {
            told(&self.path, Found::Word(&self.kept));
        } else if self.kept.bytes().all(digit) {
            told(&self.path, Found::Number(&self.kept));
        } else {
            return Err(NotJson);
        }
        self.done();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(pieces: &[&[u8]]) -> (Vec<String>, Result<bool, NotJson>) {
        let (mut finder, mut all) = (Finder::default(), Vec::new());
        let mut told = |path: &[String], found: Found<'_>| {
            all.push(format!("{} {found:?}", path.join(".")));
        };
        let read = pieces.iter().try_for_each(|piece| finder.push(piece, &mut told));
        // A number or a word that nothing is around ends with what follows.
        let read = read.and_then(|()| match (finder.state, finder.path.is_empty()) {
            (State::Bare, true) => finder.push(b" ", &mut told),
            _ => Ok(()),
        });
        let ended = read.map(|()| finder.state == State::Over);
        (all, ended)
    }

    #[test]
    fn each_value_is_told_with_the_keys_that_lead_to_it() {
        let text = r#" {"model":"m-1","usage":{"in":12,"\u006fut":3.5e1}, "a":[{"b":null},[true],"x\"y"],"e":{},"f":[]} "#;
        let (all, ended) = found(&[text.as_bytes()]);
        assert_eq!(ended, Ok(true));
        assert_eq!(
            all,
            [
                " Many",
                "model Text(\"m-1\", 3)",
                "usage Many",
                "usage.in Number(\"12\")",
                "usage.out Number(\"3.5e1\")",
                "a Many",
                "a.* Many",
                "a.*.b Word(\"null\")",
                "a.* Many",
                "a.*.* Word(\"true\")",
                "a.* Text(\"x\\\"y\", 3)",
                "e Many",
                "f Many",
            ]
        );
        assert_eq!(found(&[b"12"]), (vec![" Number(\"12\")".to_owned()], Ok(true)));
        assert_eq!(Found::Number("12").count(), Some(12));
        assert_eq!(Found::Number("1.5").count(), None);
    }

    #[test]
    fn a_key_that_looks_like_a_list_is_none() {
        let (all, ended) = found(&[br#"{"*":1,"x":2}"#]);
        assert_eq!(
            (all, ended),
            (vec![" Many".into(), "*? Number(\"1\")".into(), "x Number(\"2\")".into()], Ok(true))
        );
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in [
            "{",
            "[1,]",
            "{\"a\" 1}",
            "{,}",
            "[1 2]",
            "{1:2}",
            "]",
            "}",
            "[}",
            "{]",
            "tru",
            "1x",
            "\"\n\"",
            "\"\\x\"",
            "{} {}",
            "",
            "[DONE]",
        ] {
            let (_, ended) = found(&[text.as_bytes()]);
            assert_ne!(ended, Ok(true), "{text:?}");
        }
    }

    #[test]
    fn what_lies_too_deep_is_passed_over_and_what_follows_is_told() {
        let (open, close) = (r#"{"a":["#.repeat(DEPTH / 2), "]}".repeat(DEPTH / 2));
        let deep = r#"[{"usage":["]}\\","\"}{[\\\"", 1]},[[]]]"#;
        let text = format!(r#"{{"x":{open}0,{deep},"b"{close},"usage":2}}"#);
        // One of those around it is that of `x`, so that the last list is the first that is too deep.
        let passed = 1 + "0,".len() + deep.len() + r#","b"]"#.len();
        let (all, ended) = found(&[text.as_bytes()]);
        assert_eq!(ended, Ok(true));
        assert_eq!(all.iter().filter(|found| found.ends_with(" Deep")).count(), passed);
        assert_eq!(all.len(), DEPTH + passed + 1);
        assert_eq!(all.last().unwrap(), "usage Number(\"2\")");
        let cut: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        assert_eq!(found(&cut), (all, ended));
        let many = b"[".repeat(1 << 20);
        assert_eq!(Finder::default().push(&many, &mut |_, _| {}), Ok(()));
        assert_eq!(found(&[format!("{open}[]}}").as_bytes()]).1, Err(NotJson));
    }

    #[test]
    fn it_says_where_it_is_no_json_any_more() {
        for (text, taken) in [("[1,2]", 5), ("[DONE]", 1), ("[1x,2]", 3), ("{} {}", 3), ("", 0)] {
            assert_eq!(Finder::default().take(text.as_bytes(), &mut |_, _| {}), taken, "{text}");
        }
    }

    #[test]
    fn of_a_long_text_only_the_beginning_is_kept() {
        let text = format!("{{\"{0}\":\"{0}é\"}}", "k".repeat(1000));
        let (all, _) = found(&[text.as_bytes()]);
        assert_eq!(all[1].len(), KEPT + 1 + "Text(\"\", 1002)".len() + KEPT);
    }

    proptest! {
        #[test]
        fn it_is_the_same_however_it_is_cut_and_agrees_with_another_reader(
            text in r#"[\[\]{}",:a1\\tu0 ]{0,24}"#, at: usize,
        ) {
            let bytes = text.as_bytes();
            let whole = found(&[bytes]);
            let (head, tail) = bytes.split_at(at % (bytes.len() + 1));
            prop_assert_eq!(&whole, &found(&[head, tail]));
            // A key that is there twice is refused there, and half a pair of surrogates.
            if sandboxd_broker::json::parse(bytes).is_ok() {
                prop_assert_eq!(whole.1, Ok(true));
            }
        }
    }
}
