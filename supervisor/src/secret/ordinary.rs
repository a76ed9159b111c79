//! Whether a secret is such that the words of others have it by chance. Whoever takes it out of what hosts and tools
//! say, takes those for it then: a tool in whose description it stands is hidden, and answers have holes.

use sandboxd_audit::Hidden;
use sandboxd_audit::hide::{clean, looked_for};

/// Fewer bytes stand in some text by chance before long.
const SHORT: usize = 8;
/// So do fewer digits, where there is nothing else.
const SHORT_NUMBER: usize = 13;

/// What stands in the descriptions of nearly all tools (JSON Schema, MCP), in what they answer, and what people take
/// who think of no secret.
const ORDINARY: &str = "string object number integer boolean array properties required description default examples \
    additionalProperties minimum maximum minLength maxLength minItems maxItems pattern format definitions items \
    inputSchema outputSchema annotations readOnlyHint content contents message messages result results response \
    responses request requests arguments argument parameter parameters optional returns return value values structured \
    status success failed failure error errors warning invalid unknown missing version resource resources template \
    server client method params session protocol protocolVersion capabilities instructions listChanged progress \
    directory folder filename filepath search query create created update updated delete deleted remove insert select \
    username account accounts address number numbers letters length language country public private localhost \
    127.0.0.1 0.0.0.0 http:// https:// example.com application/json text/plain utf-8 Bearer Authorization \
    password passwd passphrase secret secrets credential credentials api_key apikey access_token changeme change-me \
    letmein welcome administrator admin123 qwerty placeholder database postgres production development testing \
    undefined function package project document documents service services system before between another already \
    should through without within following";

/// Why it is none that should be looked for, where it is; and never what it is.
pub(crate) fn warning(value: &[u8], hidden: &Hidden) -> Option<&'static str> {
    let all = looked_for(value);
    if all.is_empty() {
        return Some("it is so short that it is not masked where it appears");
    }
    // By the very rule by which it is covered.
    if clean(std::iter::once(hidden), ORDINARY).is_some() {
        return Some(
            "it, or a line of it, is an ordinary word: tools with that word in their description are hidden, and it is masked in answers",
        );
    }
    let short = |piece: &&[u8]| {
        let number = piece.iter().all(u8::is_ascii_digit);
        piece.len() < if number { SHORT_NUMBER } else { SHORT }
    };
    all.iter().any(short).then_some(
        "it, or a line of it, is so short that other texts contain it by chance: tools that contain it are hidden, and it is masked in answers",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_say_by_chance_is_warned_of_and_a_key_is_not() {
        let told = |value: &str| {
            let hidden = Hidden::of("s", value.as_bytes()).unwrap();
            warning(value.as_bytes(), &hidden)
        };
        for value in ["string", "String", "escript", "Password\n", "a-line-of-a-key-01\nobject"] {
            assert!(told(value).is_some_and(|it| it.contains("ordinary")), "{value}");
        }
        for value in ["abc", "", "a\nb\nc"] {
            assert!(told(value).is_some_and(|it| it.contains("not masked")), "{value}");
        }
        for value in ["x7Kq2m", "482910377156", "a-line-of-a-key-01\nzzzQ9k"] {
            assert!(told(value).is_some_and(|it| it.contains("by chance")), "{value}");
        }
        for value in
            ["x7Kq2mZ0", "4829103771562", "sk-hunter2-0123456789", "a-line-of-a-key-01\nend"]
        {
            assert_eq!(told(value), None, "{value}");
        }
    }
}
