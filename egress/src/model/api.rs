//! Which requests to a model API can be counted, and how such an API says that there is no more.

use crate::{
    http::{Head, Target},
    put::unescaped,
};
use sandboxd_egress_plan::Verdict;

/// Whose format it is. Many others speak one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// OpenAI's: chat completions, completions, responses and embeddings.
    OpenAi,
    /// Anthropic's: messages.
    Anthropic,
}

/// What a request to a model API asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// What uses tokens, and says how many.
    Call(Format),
    /// What uses none: which models there are, how many tokens something would be.
    Free,
}

/// What this request asks for.
///
/// # Errors
/// Where it can be none of those: files, batches, audio, images, what was begun in the background.
pub fn asked(head: &Head) -> Result<Asked, Verdict> {
    let path = head.plain_path().ok_or(Verdict::Uncounted)?;
    let words: Vec<&str> = path.split('/').filter(|word| !word.is_empty()).collect();
    match (head.method.as_str(), words.as_slice()) {
        ("GET" | "HEAD", [.., "models"] | [.., "models", _]) => Ok(Asked::Free),
        ("POST", [.., "messages", "count_tokens"]) => Ok(Asked::Free),
        ("POST", [.., "messages"]) => plain(head, Format::Anthropic),
        ("POST", [.., "completions" | "responses" | "embeddings"]) => plain(head, Format::OpenAi),
        _ => Err(Verdict::Uncounted),
    }
}

/// A call whose body can be read.
fn plain(head: &Head, format: Format) -> Result<Asked, Verdict> {
    let mut codings = head.values("content-encoding");
    if codings.any(|coding| !coding.eq_ignore_ascii_case("identity")) {
        return Err(Verdict::Uncounted);
    }
    Ok(Asked::Call(format))
}

/// How much a request may be one to a model API, wherever it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looks {
    /// Its path is that of a call, whatever its method and however its body is written, or it asks for
    /// what uses nothing.
    Model,
    /// Its path may be read as that of a call, and as another.
    Odd,
    /// It is something else.
    Other,
}

/// How this one looks.
#[must_use]
pub fn looks(head: &Head) -> Looks {
    let Target::Path(_) = head.target else { return Looks::Other };
    let Some(path) = head.plain_path() else { return Looks::Odd };
    if is_call(path.as_bytes()) || matches!(asked(head), Ok(Asked::Free)) {
        return Looks::Model;
    }
    // Some servers take letters for each other that others tell apart.
    let read = unescaped(path.as_bytes()).to_ascii_lowercase();
    if is_call(&read) { Looks::Odd } else { Looks::Other }
}

/// Whether a path ends as that of a call does.
fn is_call(path: &[u8]) -> bool {
    const CALLS: [&[u8]; 4] = [b"messages", b"completions", b"responses", b"embeddings"];
    let last = path.split(|byte| *byte == b'/').rfind(|word| !word.is_empty());
    last.is_some_and(|word| CALLS.contains(&word))
}

impl Format {
    /// A sentence as an error of that API, in JSON.
    fn error(self, sentence: &str) -> String {
        // The sentence is ours, but for a name of a profile, which has no such letters.
        let text: String =
            sentence.chars().filter(|letter| !matches!(letter, '"' | '\\')).collect();
        match self {
            Self::OpenAi => format!(
                "{{\"error\":{{\"message\":\"{text}\",\"type\":\"insufficient_quota\",\"param\":null,\
                 \"code\":\"insufficient_quota\"}}}}"
            ),
            Self::Anthropic => format!(
                "{{\"type\":\"error\",\"error\":{{\"type\":\"rate_limit_error\",\"message\":\"{text}\"}}}}"
            ),
        }
    }

    /// An answer of this API that says so; its clients do not ask again of their own accord.
    #[must_use]
    pub fn refusal(self, status: &str, sentence: &str) -> Vec<u8> {
        let body = self.error(sentence);
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             X-Should-Retry: false\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }

    /// The event with which a stream of this API ends that is broken off.
    #[must_use]
    pub fn event(self, sentence: &str) -> Vec<u8> {
        let name = match self {
            Self::OpenAi => "",
            Self::Anthropic => "event: error\n",
        };
        format!("{name}data: {}\n\n", self.error(sentence)).into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Read, http};

    fn read(line: &str, more: &str) -> Head {
        let text = format!("{line} HTTP/1.1\r\nHost: a.example\r\n{more}\r\n");
        match http::head(text.as_bytes()).unwrap() {
            Read::Done(head, _) => head,
            Read::More => panic!("{text:?}"),
        }
    }

    fn judged(line: &str, more: &str) -> Result<Asked, Verdict> {
        asked(&read(line, more))
    }

    #[test]
    fn what_can_be_counted_is_told_from_what_cannot() {
        for (line, what) in [
            ("POST /v1/chat/completions?x=1", Asked::Call(Format::OpenAi)),
            ("POST /openai/deployments/a/chat/completions", Asked::Call(Format::OpenAi)),
            ("POST /v1/completions", Asked::Call(Format::OpenAi)),
            ("POST /v1/responses", Asked::Call(Format::OpenAi)),
            ("POST /v1/embeddings", Asked::Call(Format::OpenAi)),
            ("POST /v1/messages", Asked::Call(Format::Anthropic)),
            ("POST /v1/messages/count_tokens", Asked::Free),
            ("GET /v1/models", Asked::Free),
            ("GET /v1/models/small-1", Asked::Free),
        ] {
            assert_eq!(judged(line, ""), Ok(what), "{line}");
        }
        for line in [
            "GET /v1/responses/resp_1",
            "POST /v1/messages/batches",
            "POST /v1/batches",
            "POST /v1/files",
            "POST /v1/images/generations",
            "GET /v1/chat/completions",
            "POST /v1/x/../messages",
            "POST /v1/messages%2f",
            "GET /",
        ] {
            assert_eq!(judged(line, ""), Err(Verdict::Uncounted), "{line}");
        }
        let squeezed = judged("POST /v1/messages", "Content-Encoding: gzip\r\n");
        assert_eq!(squeezed, Err(Verdict::Uncounted));
        assert!(judged("POST /v1/messages", "Content-Encoding: identity\r\n").is_ok());
    }

    #[test]
    fn what_may_be_a_call_looks_like_one() {
        for (line, how) in [
            ("POST /v1/messages", Looks::Model),
            ("PUT /v1/messages/?x=1", Looks::Model),
            ("GET /v1/models", Looks::Model),
            ("POST /v1//messages", Looks::Odd),
            ("POST /v1/x/%2e%2e/y", Looks::Odd),
            ("POST /v1/%6dessages", Looks::Odd),
            ("POST /v1/Messages", Looks::Odd),
            ("POST /v1/files", Looks::Other),
            ("GET /a%20b", Looks::Other),
            ("OPTIONS *", Looks::Other),
        ] {
            assert_eq!(looks(&read(line, "")), how, "{line}");
        }
        assert_eq!(looks(&read("POST /v1/messages", "Content-Encoding: gzip\r\n")), Looks::Model);
    }

    #[test]
    fn an_error_is_json_whatever_is_said() {
        for format in [Format::OpenAi, Format::Anthropic] {
            let text = format.error("the budget of \"agent\\\" is used up");
            let value = sandboxd_broker::json::parse(text.as_bytes()).unwrap();
            let error = value.as_object().unwrap().get("error").unwrap().as_object().unwrap();
            assert_eq!(error.str("message"), Some("the budget of agent is used up"));
            let answer = String::from_utf8(format.refusal("429 Too Many Requests", "no")).unwrap();
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())));
        }
        let event = String::from_utf8(Format::Anthropic.event("no")).unwrap();
        assert!(event.starts_with("event: error\ndata: {") && event.ends_with("}\n\n"));
    }
}
