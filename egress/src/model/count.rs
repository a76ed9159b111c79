//! Counts what an answer of a model API used, as it passes by.

use super::{
    api::Format,
    json::{Finder, Found, ITEM},
    sse::{Events, Piece},
};
use crate::http::Reply;
use sandboxd_egress_plan::{Tokens, Use};

/// So many bytes of text are taken for a token where nothing else is said.
const BYTES_OF_TOKEN: u64 = 4;

/// No more bytes than of the word that ends a stream, `[DONE]`, which is no JSON and nothing that a model wrote.
const WORD: u64 = 8;

/// Counts one answer.
#[derive(Debug)]
pub struct Counter {
    format: Format,
    form: Form,
    finder: Finder,
    said: Said,
    bytes: u64,
}

/// What the body of an answer is.
#[derive(Debug)]
enum Form {
    Json,
    Events(Events),
    /// In a coding in which it is not seen.
    Coded,
}

/// What an answer has said so far.
#[derive(Debug, Default)]
struct Said {
    model: String,
    /// How many tokens, and whether that is all of them.
    tokens: Tokens,
    input: bool,
    output: bool,
    /// Bytes of text that came out, and events with some.
    text: u64,
    events: u64,
    /// What comes out in the event that is being read; in a body that is no stream, all of it.
    now: u64,
    /// How much of it follows on what is no JSON, so that nothing is known of it.
    lost: u64,
    /// That event says what others have said already.
    again: bool,
    /// That event says how much was used.
    usage: bool,
    /// An event said how much was used, and nothing came out in those that followed.
    told: bool,
    /// Nor in that one: no more is to be expected.
    done: bool,
}

/// Keys of texts that a model writes.
const WRITTEN: &[&str] = &[
    "content",
    "text",
    "delta",
    "arguments",
    "partial_json",
    "thinking",
    "reasoning",
    "reasoning_content",
    "refusal",
    "input",
];

impl Counter {
    /// Counts the answer to a call in this format.
    #[must_use]
    pub fn new(format: Format, reply: &Reply) -> Self {
        let form = match (reply.plain, reply.events) {
            (true, true) => Form::Events(Events::default()),
            (true, false) => Form::Json,
            (false, _) => Form::Coded,
        };
        let (finder, said) = (Finder::default(), Said::default());
        Self { format, form, finder, said, bytes: 0 }
    }

    /// Whether it is a stream of events that can be ended by one of ours.
    #[must_use]
    pub const fn is_stream(&self) -> bool {
        matches!(self.form, Form::Events(_))
    }

    /// Reads more of the body, and says where in that the last event ends, where one does.
    pub fn push(&mut self, bytes: &[u8]) -> Option<usize> {
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        let Self { format, form, finder, said, .. } = self;
        match form {
            Form::Coded => None,
            Form::Json => {
                said.read(*format, finder, bytes);
                None
            }
            Form::Events(events) => events.push(bytes, &mut |piece| match piece {
                Piece::Data(data) => said.read(*format, finder, data),
                Piece::End => {
                    *finder = Finder::default();
                    said.event();
                }
            }),
        }
    }

    /// Whether it has said what it used, and nothing more comes out.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.said.done
    }

    /// What it has used so far, as far as that is sure.
    #[must_use]
    pub fn so_far(&self) -> Tokens {
        let said = self.said.tokens;
        Tokens { output: said.output.max(self.written()), ..said }
    }

    /// The model that answered; nothing where it does not say.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.said.model
    }

    /// What comes out, by what was seen of it: a token is at least an event, and text has so many bytes
    /// of it. Where nothing is seen, each byte may be one.
    fn written(&self) -> u64 {
        match self.form {
            Form::Coded => self.bytes,
            Form::Json | Form::Events(_) => {
                self.said.events.max(self.said.text().div_ceil(BYTES_OF_TOKEN))
            }
        }
    }

    /// What it used, and whether that is estimated: where the answer does not say it all. A failure
    /// that says nothing used nothing.
    #[must_use]
    pub fn total(&self, failed: bool, asked: u64) -> (Tokens, bool) {
        let Said { tokens, input, output, usage, told, .. } = self.said;
        let whole = !self.is_stream() || usage || told;
        match (input, output, failed) {
            (true, true, _) if whole => (tokens, false),
            (false, false, true) => (Tokens::default(), false),
            _ => {
                let input = if input { tokens.input } else { asked.div_ceil(BYTES_OF_TOKEN) };
                let output = tokens.output.max(self.written());
                (Tokens { input, output, ..tokens }, true)
            }
        }
    }
}

impl Said {
    /// Bytes of text that came out so far. What is not understood may be all text.
    const fn text(&self) -> u64 {
        let lost = if self.lost > WORD { self.lost } else { 0 };
        let now = if self.again { 0 } else { self.now.saturating_add(lost) };
        self.text.saturating_add(now)
    }

    /// Some of an event, or of a body that is no stream.
    fn read(&mut self, format: Format, finder: &mut Finder, bytes: &[u8]) {
        let taken = if self.lost > 0 {
            0
        } else {
            finder.take(bytes, &mut |path, found| self.hear(format, path, found))
        };
        let lost = u64::try_from(bytes.len() - taken).unwrap_or(u64::MAX);
        self.lost = self.lost.saturating_add(lost);
    }

    /// An event is over.
    fn event(&mut self) {
        let more = self.text() > self.text;
        self.events = self.events.saturating_add(u64::from(more));
        self.text = self.text();
        // Some say with each word how many there were until then, and some before the first.
        self.told = self.usage || (self.told && !more);
        self.done = (self.usage || self.done) && !more;
        (self.now, self.lost, self.again, self.usage) = (0, 0, false, false);
    }

    fn hear(&mut self, format: Format, path: &[String], found: Found<'_>) {
        if found == Found::Deep {
            // No answer lies so deep by itself: it is what a model wrote.
            self.now = self.now.saturating_add(1);
            return;
        }
        let keys: Vec<&str> = path.iter().map(String::as_str).take(6).collect();
        match (keys.as_slice(), found) {
            (["model"] | ["message" | "response", "model"], Found::Text(text, _)) => {
                self.model = Use::name(text);
            }
            // A stream of responses says each text in pieces, and then whole: alone, in its part, in its
            // item, and in the response.
            (["type"], Found::Text(kind, _)) => {
                self.again = format == Format::OpenAi
                    && kind.starts_with("response.")
                    && !kind.ends_with(".delta");
            }
            // What a stream of Anthropic begins with; how much comes out is said at its end.
            (["message", "usage", rest @ ..], found) => {
                if let Some(count) = found.count() {
                    self.count(format, rest, count, false);
                }
            }
            (["usage", rest @ ..] | ["response", "usage", rest @ ..], found) => {
                if let Some(count) = found.count() {
                    self.count(format, rest, count, true);
                    self.usage = true;
                }
            }
            (_, Found::Text(_, length)) => {
                let last = path.iter().rev().find(|key| *key != ITEM);
                if last.is_some_and(|key| WRITTEN.contains(&key.as_str())) {
                    self.now = self.now.saturating_add(length);
                }
            }
            (_, Found::Number(_) | Found::Word(_) | Found::Many | Found::Deep) => {}
        }
    }

    /// A number that is said more than once only grows.
    fn count(&mut self, format: Format, keys: &[&str], count: u64, last: bool) {
        let Tokens { input, cached, written, output } = &mut self.tokens;
        match keys {
            ["prompt_tokens" | "input_tokens"] => {
                // One of them counts those of a cache among these, the other beside them.
                let beside = match format {
                    Format::OpenAi => count.saturating_sub(*cached),
                    Format::Anthropic => count,
                };
                *input = beside.max(*input);
                self.input = true;
                // Embeddings have nothing that comes out.
                self.output =
                    self.output || (format == Format::OpenAi && last && keys == ["prompt_tokens"]);
            }
            ["completion_tokens" | "output_tokens"] => {
                *output = count.max(*output);
                self.output = self.output || last;
            }
            ["cache_read_input_tokens"] => *cached = count.max(*cached),
            ["cache_creation_input_tokens"] => *written = count.max(*written),
            ["prompt_tokens_details" | "input_tokens_details", "cached_tokens"] => {
                *input = input.saturating_sub(count.saturating_sub(*cached));
                *cached = count.max(*cached);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Read, http};

    fn reply(kind: &str) -> Reply {
        let text = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\n");
        match http::reply(text.as_bytes(), "POST").unwrap() {
            Read::Done(reply, _) => reply,
            Read::More => panic!("{text:?}"),
        }
    }

    fn counted(format: Format, kind: &str, body: &str) -> (String, Tokens, bool) {
        // Byte by byte, as it may come.
        let mut counter = Counter::new(format, &reply(kind));
        for byte in body.as_bytes() {
            counter.push(&[*byte]);
        }
        let (tokens, estimated) = counter.total(false, 400);
        (counter.model().to_owned(), tokens, estimated)
    }

    const JSON: &str = "application/json";
    const SSE: &str = "text/event-stream";

    #[test]
    fn what_an_answer_says_is_what_it_used() {
        let chat = r#"{"model":"gpt-x","choices":[{"message":{"content":"hello"}}],
            "usage":{"prompt_tokens":20,"completion_tokens":5,"total_tokens":25,"prompt_tokens_details":{"cached_tokens":8}}}"#;
        let tokens = Tokens { input: 12, cached: 8, written: 0, output: 5 };
        assert_eq!(counted(Format::OpenAi, JSON, chat), ("gpt-x".into(), tokens, false));
        let swapped = r#"{"usage":{"input_tokens_details":{"cached_tokens":8},"input_tokens":20,"output_tokens":5}}"#;
        assert_eq!(counted(Format::OpenAi, JSON, swapped), (String::new(), tokens, false));
        let embedded = r#"{"data":[{"embedding":[0.1,-2e-3]}],"model":"e","usage":{"prompt_tokens":7,"total_tokens":7}}"#;
        let seven = Tokens { input: 7, ..Tokens::default() };
        assert_eq!(counted(Format::OpenAi, JSON, embedded), ("e".into(), seven, false));
        let messages = r#"{"model":"claude-x","content":[{"text":"hi"}],"usage":{"input_tokens":10,
            "cache_creation_input_tokens":3,"cache_read_input_tokens":4,"output_tokens":6}}"#;
        let tokens = Tokens { input: 10, cached: 4, written: 3, output: 6 };
        assert_eq!(counted(Format::Anthropic, JSON, messages), ("claude-x".into(), tokens, false));
    }

    #[test]
    fn a_stream_says_it_in_its_events() {
        let chat = "data: {\"model\":\"gpt-x\",\"choices\":[{\"delta\":{\"content\":\"he\"}}],\"usage\":null}\n\n\
                    data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n";
        let tokens = Tokens { input: 9, output: 2, ..Tokens::default() };
        assert_eq!(counted(Format::OpenAi, SSE, chat), ("gpt-x".into(), tokens, false));
        let responses = "event: response.created\ndata: {\"response\":{\"model\":\"o\",\"usage\":null}}\n\n\
                         event: response.completed\ndata: {\"response\":{\"usage\":{\"input_tokens\":9,\"output_tokens\":2}}}\n\n";
        assert_eq!(counted(Format::OpenAi, SSE, responses), ("o".into(), tokens, false));
        let messages = "event: message_start\ndata: {\"message\":{\"model\":\"claude-x\",\"usage\":{\"input_tokens\":9,\"output_tokens\":1}}}\n\n\
                        event: content_block_delta\ndata: {\"delta\":{\"text\":\"hi\"}}\n\n\
                        event: message_delta\ndata: {\"usage\":{\"output_tokens\":2}}\n\n";
        assert_eq!(counted(Format::Anthropic, SSE, messages), ("claude-x".into(), tokens, false));
    }

    #[test]
    fn a_stream_is_done_only_until_more_comes_out() {
        for (format, usage, word) in [
            (
                Format::OpenAi,
                r#"{"choices":[{"delta":{"role":"assistant"}}],"usage":{"prompt_tokens":9,"completion_tokens":0}}"#,
                r#"{"choices":[{"delta":{"content":"word"}}],"usage":{"completion_tokens":1}}"#,
            ),
            (Format::Anthropic, r#"{"usage":{"output_tokens":1}}"#, r#"{"delta":{"text":"word"}}"#),
            (
                Format::OpenAi,
                r#"{"type":"response.completed","response":{"output":[{"text":"all"}],"usage":{"output_tokens":1}}}"#,
                r#"{"type":"response.output_text.delta","delta":"word"}"#,
            ),
        ] {
            let mut counter = Counter::new(format, &reply(SSE));
            let mut done = |data: &str| {
                counter.push(format!("data: {data}\n\n").as_bytes());
                counter.is_done()
            };
            let ping = r#"{"type":"ping"}"#;
            let seen = [done(word), done(usage), done(ping), done(word), done(ping), done(usage)];
            assert_eq!(seen, [false, true, true, false, false, true], "{usage}");
        }
        // What was said at the beginning is not all.
        let begun = "data: {\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":0}}\n\n\
                     data: {\"choices\":[{\"delta\":{\"content\":\"aaaabbbbcccc\"}}]}\n\n";
        let tokens = Tokens { input: 9, output: 3, ..Tokens::default() };
        assert_eq!(counted(Format::OpenAi, SSE, begun), (String::new(), tokens, true));
    }

    #[test]
    fn a_text_that_a_stream_says_again_is_counted_once() {
        let text = "a".repeat(40);
        let part = format!(r#"{{"type":"output_text","text":"{text}"}}"#);
        let item = format!(r#"{{"type":"message","content":[{part}]}}"#);
        let events = [
            r#"{"type":"response.created","response":{"model":"o","output":[]}}"#.to_owned(),
            format!(r#"{{"type":"response.output_text.delta","delta":"{text}"}}"#),
            format!(r#"{{"type":"response.output_text.done","text":"{text}"}}"#),
            // Whatever comes first.
            format!(r#"{{"part":{part},"type":"response.content_part.done"}}"#),
            format!(r#"{{"type":"response.output_item.done","item":{item}}}"#),
            format!(r#"{{"type":"response.completed","response":{{"output":[{item}]}}}}"#),
        ];
        let stream: String = events.map(|event| format!("data: {event}\n\n")).concat();
        let tokens = Tokens { input: 100, output: 10, ..Tokens::default() };
        assert_eq!(counted(Format::OpenAi, SSE, &stream), ("o".into(), tokens, true));
        // Where it is said once only, that is what came out.
        let whole = format!(r#"{{"object":"response","output":[{item}]}}"#);
        assert_eq!(counted(Format::OpenAi, JSON, &whole), (String::new(), tokens, true));
    }

    #[test]
    fn what_a_model_writes_hides_nothing_however_deep_it_is() {
        let deep = format!("{}\"{}\"{}", "[".repeat(100), "word ".repeat(80), "]".repeat(100));
        let tool = format!(r#"{{"type":"tool_use","input":{{"a":{deep}}}}}"#);
        let usage = r#""usage":{"input_tokens":10,"output_tokens":9000}"#;
        let whole = format!(r#"{{"model":"claude-x","content":[{tool}],{usage}}}"#);
        let said = Tokens { input: 10, output: 9000, ..Tokens::default() };
        assert_eq!(counted(Format::Anthropic, JSON, &whole), ("claude-x".into(), said, false));
        let stream = format!("data: {{\"delta\":{tool},{usage}}}\n\ndata: [DONE]\n\n");
        assert_eq!(counted(Format::OpenAi, SSE, &stream), (String::new(), said, false));
        // Where it is broken off, what there was of it is text.
        let broken = whole.split_once(",\"usage").unwrap().0;
        let (_, tokens, estimated) = counted(Format::Anthropic, JSON, broken);
        assert!(estimated && (100..160).contains(&tokens.output), "{tokens:?}");
    }

    #[test]
    fn what_follows_on_what_is_no_json_may_be_all_text() {
        let usage = r#""usage":{"prompt_tokens":9,"completion_tokens":2}"#;
        let text = "a".repeat(400);
        let lost = format!(r#"{{"choices":[{{"logprob":NaN,"text":"{text}"}}],{usage}}}"#);
        let rest = lost.split_once("NaN").unwrap().1.len() + "NaN".len();
        let output = u64::try_from(rest).unwrap().div_ceil(BYTES_OF_TOKEN);
        let tokens = Tokens { input: 100, output, ..Tokens::default() };
        assert_eq!(counted(Format::OpenAi, JSON, &lost), (String::new(), tokens, true));
        // The same as an event, with the end of its line; and nothing more of the next, which is understood.
        let output = u64::try_from(rest + 1).unwrap().div_ceil(BYTES_OF_TOKEN);
        let stream = format!("data: {lost}\n\ndata: {{\"choices\":[]}}\n\ndata: [DONE]\n\n");
        let tokens = Tokens { output, ..tokens };
        assert_eq!(counted(Format::OpenAi, SSE, &stream), (String::new(), tokens, true));
        let mut whole = Counter::new(Format::OpenAi, &reply(SSE));
        whole.push(stream.as_bytes());
        assert_eq!(whole.total(false, 400), (tokens, true));
    }

    #[test]
    fn what_is_not_said_is_estimated() {
        let silent = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n".repeat(10);
        let tokens = Tokens { input: 100, output: 10, ..Tokens::default() };
        assert_eq!(counted(Format::OpenAi, SSE, &silent), (String::new(), tokens, true));
        let text =
            format!("{{\"choices\":[{{\"message\":{{\"content\":\"{}\"}}}}]}}", "a".repeat(80));
        let tokens = Tokens { input: 100, output: 20, ..Tokens::default() };
        assert_eq!(counted(Format::OpenAi, JSON, &text), (String::new(), tokens, true));
        // Broken off before its end: what was said at the beginning is not all.
        let begun = "event: message_start\ndata: {\"message\":{\"usage\":{\"input_tokens\":9,\"output_tokens\":1}}}\n\n\
                     data: {\"delta\":{\"text\":\"aaaabbbbcccc\"}}\n\n";
        let tokens = Tokens { input: 9, output: 3, ..Tokens::default() };
        assert_eq!(counted(Format::Anthropic, SSE, begun), (String::new(), tokens, true));
        let mut coded = Counter::new(Format::OpenAi, &Reply { plain: false, ..reply(SSE) });
        assert!(!coded.is_stream());
        coded.push(&[0; 50]);
        assert_eq!(
            coded.total(false, 4),
            (Tokens { input: 1, output: 50, ..Tokens::default() }, true)
        );
        let failed = Counter::new(Format::OpenAi, &reply(JSON));
        assert_eq!(failed.total(true, 400), (Tokens::default(), false));
    }
}
