//! What a callee of the newer era asks of its caller: nothing while it answers, but by a result that is none yet.
//! That says what is to be answered (`inputRequests`) and what the callee wants back with the answers
//! (`requestState`); then the request is made again with both.

use crate::{
    json::{Object, Value},
    rpc,
};
use sandboxd_broker_plan::Reverse;
use std::collections::BTreeSet;

/// What a callee wants back, and a caller gives back.
pub const STATE: &str = "requestState";
/// What a caller answers.
pub const RESPONSES: &str = "inputResponses";
const REQUESTS: &str = "inputRequests";
const KIND: &str = "resultType";
const REQUIRED: &str = "input_required";

/// The error of 2025-11-25 by which a callee asks that an address be opened.
const URL_ELICITATION: f64 = -32042.0;

/// The most bytes that are held for a callee until its caller comes back: its state and the keys of its
/// questions together.
const LONGEST: usize = 256 << 10;

/// The most questions of one result. Each for the roots is answered with all of them.
const QUESTIONS: usize = 64;

/// What is asked by a result.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The keys under which the caller may answer.
    pub caller: BTreeSet<String>,
    /// The keys under which it was asked for the roots, which the broker knows.
    pub roots: Vec<String>,
    /// What the callee wants back.
    pub state: Option<String>,
}

/// Why a result that asks back is not passed on.
#[derive(Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It is not what the protocol has.
    Malformed,
    /// It keeps more with its caller than is held for it.
    TooLong,
    /// It asks what it has no leave for.
    NoLeave(&'static str),
}

/// Whether a request with this method may be answered by a question.
#[must_use]
pub fn may_ask(method: &str) -> bool {
    matches!(method, "tools/call" | "resources/read" | "prompts/get")
}

/// Whether a result says that it is none yet.
#[must_use]
pub fn is_required(result: &Object) -> bool {
    result.str(KIND) == Some(REQUIRED)
}

/// Takes out of a result what the callee wants back and what the broker answers itself. What is left in it is
/// for the caller; nothing is returned where the result is one.
///
/// # Errors
/// Where it is not passed on: also for one question among several that there is no leave for, because
/// nobody could answer the callee that this one is not answered.
pub fn take(result: &mut Object, leave: &[Reverse]) -> Result<Option<Asked>, Unfit> {
    if rpc::ambiguous(result, &[KIND, REQUESTS, STATE]) {
        return Err(Unfit::Malformed);
    }
    let (requests, state) = (result.remove(REQUESTS), result.remove(STATE));
    if !is_required(result) {
        let plain = requests.is_none() && state.is_none();
        return if plain { Ok(None) } else { Err(Unfit::Malformed) };
    }
    let state = match state {
        None => None,
        Some(Value::String(state)) if state.len() <= LONGEST => Some(state),
        Some(Value::String(_)) => return Err(Unfit::TooLong),
        Some(_) => return Err(Unfit::Malformed),
    };
    let mut requests = match requests {
        None => Object::default(),
        Some(Value::Object(requests)) if !rpc::ambiguous(&requests, &[]) => requests,
        Some(_) => return Err(Unfit::Malformed),
    };
    if requests.is_empty() && state.is_none() {
        return Err(Unfit::Malformed);
    }
    let held = state.as_ref().map_or(0, String::len);
    let keys: usize = requests.iter().map(|(key, _)| key.len()).sum();
    if held.saturating_add(keys) > LONGEST || requests.iter().count() > QUESTIONS {
        return Err(Unfit::TooLong);
    }
    let mut asked = Asked { state, ..Asked::default() };
    for (key, question) in requests.iter() {
        match wanted(question)? {
            None => asked.roots.push(key.to_owned()),
            Some(what) if leave.contains(&what) => {
                asked.caller.insert(key.to_owned());
            }
            Some(Reverse::Elicitation) => return Err(Unfit::NoLeave("elicitation/create")),
            Some(Reverse::Sampling) => return Err(Unfit::NoLeave("sampling/createMessage")),
        }
    }
    requests.retain(|key, _| asked.caller.contains(key));
    if !requests.is_empty() {
        result.set(REQUESTS, requests.into());
    }
    Ok(Some(asked))
}

/// Whether an error has the person at the caller open an address before the request is made again, as 2025-11-25
/// has it.
///
/// # Errors
/// Where it may be read in two ways.
pub fn asks_by_error(error: &Object) -> Result<bool, Unfit> {
    if rpc::ambiguous(error, &["code", "message", "data"]) {
        return Err(Unfit::Malformed);
    }
    // A client may read a number that was written with a fraction or an exponent as the same.
    let code = error.get("code").and_then(Value::as_number).map(|code| code.text().parse::<f64>());
    Ok(matches!(code, Some(Ok(code)) if code.total_cmp(&URL_ELICITATION).is_eq()))
}

/// What a question is for; nothing where it is for the roots.
fn wanted(question: &Value) -> Result<Option<Reverse>, Unfit> {
    let question = question.as_object().ok_or(Unfit::Malformed)?;
    if rpc::ambiguous(question, &["method", "params"]) {
        return Err(Unfit::Malformed);
    }
    match question.str("method").ok_or(Unfit::Malformed)? {
        "roots/list" => Ok(None),
        "elicitation/create" => Ok(Some(Reverse::Elicitation)),
        "sampling/createMessage" => Ok(Some(Reverse::Sampling)),
        _ => Err(Unfit::NoLeave("a method that the protocol does not have for this")),
    }
}

impl Asked {
    /// About how many bytes of memory it takes.
    #[must_use]
    pub fn weight(&self) -> usize {
        let keys: usize = self
            .caller
            .iter()
            .chain(&self.roots)
            .map(|key| size_of::<[String; 2]>() + key.len())
            .sum();
        keys + self.state.as_ref().map_or(0, String::len)
    }

    /// Whether these answers are to what was asked. Some may be missing: the callee asks for them again.
    #[must_use]
    pub fn is_answered_by(&self, answers: &Value) -> bool {
        answers.as_object().is_some_and(|answers| {
            let mut each = answers.iter();
            each.all(|(key, answer)| self.caller.contains(key) && answer.as_object().is_some())
        })
    }

    /// Puts into the parameters of a request what its callee wants back with them.
    pub fn give_back(self, params: &mut Object, roots: &Value) {
        if let Some(state) = self.state {
            params.set(STATE, state.into());
        }
        if !self.roots.is_empty() {
            params.change(RESPONSES, |answers| {
                self.roots.iter().for_each(|key| answers.set(key, roots.clone()));
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{parse, text};

    const BOTH: [Reverse; 2] = [Reverse::Elicitation, Reverse::Sampling];

    fn taken(result: &str, leave: &[Reverse]) -> Result<(Option<Asked>, String), Unfit> {
        let Value::Object(mut result) = parse(result.as_bytes()).unwrap() else { panic!() };
        let asked = take(&mut result, leave)?;
        Ok((asked, text(&Value::Object(result))))
    }

    #[test]
    fn what_the_callee_keeps_and_what_the_broker_answers_is_not_seen_by_the_caller() {
        let result = r#"{"resultType":"input_required","requestState":"secret","new":1.0,"inputRequests":{
            "who":{"method":"elicitation/create","params":{"x":1.50},"more":2},"where":{"method":"roots/list"}}}"#;
        let (asked, left) = taken(result, &BOTH).unwrap();
        let asked = asked.unwrap();
        assert_eq!(asked.caller.iter().collect::<Vec<_>>(), ["who"]);
        assert_eq!((asked.roots.len(), asked.state.as_deref()), (1, Some("secret")));
        assert_eq!(
            left,
            r#"{"resultType":"input_required","new":1.0,"inputRequests":{"who":{"method":"elicitation/create","params":{"x":1.50},"more":2}}}"#
        );
        let roots =
            r#"{"resultType":"input_required","inputRequests":{"r":{"method":"roots/list"}}}"#;
        let (_, left) = taken(roots, &[]).unwrap();
        assert_eq!(left, r#"{"resultType":"input_required"}"#);
    }

    #[test]
    fn each_question_needs_its_leave() {
        let ask = |method: &str| {
            format!(
                r#"{{"resultType":"input_required","inputRequests":{{"r":{{"method":"roots/list"}},"a":{{"method":"{method}"}}}}}}"#
            )
        };
        for (method, leave) in [
            ("elicitation/create", Reverse::Elicitation),
            ("sampling/createMessage", Reverse::Sampling),
        ] {
            assert!(taken(&ask(method), &[leave]).is_ok());
            let other: Vec<Reverse> = BOTH.into_iter().filter(|one| *one != leave).collect();
            assert_eq!(taken(&ask(method), &other), Err(Unfit::NoLeave(method)));
        }
        assert!(matches!(taken(&ask("tools/call"), &BOTH), Err(Unfit::NoLeave(_))));
    }

    #[test]
    fn what_may_be_read_in_two_ways_or_asks_nothing_is_not_passed_on() {
        for result in [
            r#"{"resultType":"input_required"}"#,
            r#"{"resultType":"input_required","inputRequests":{}}"#,
            r#"{"resultType":"input_required","inputRequests":[]}"#,
            r#"{"resultType":"input_required","inputRequests":{"a":1}}"#,
            r#"{"resultType":"input_required","inputRequests":{"a":{}}}"#,
            r#"{"resultType":"input_required","inputRequests":{"a":{"method":"roots/list"},"A":{"method":"roots/list"}}}"#,
            r#"{"resultType":"input_required","inputRequests":{"a":{"method":"elicitation/create","Method":"sampling/createMessage"}}}"#,
            r#"{"resultType":"input_required","requestState":7}"#,
            r#"{"resultType":"complete","requestState":"s"}"#,
            r#"{"content":[],"inputRequests":{"a":{"method":"elicitation/create"}}}"#,
            r#"{"resultType":"complete","ResultType":"input_required"}"#,
            r#"{"resultType":"complete","InputRequests":{}}"#,
        ] {
            assert_eq!(taken(result, &BOTH), Err(Unfit::Malformed), "{result}");
        }
        let state = |length| {
            format!(r#"{{"resultType":"input_required","requestState":"{}"}}"#, "x".repeat(length))
        };
        assert!(taken(&state(LONGEST), &[]).is_ok());
        assert_eq!(taken(&state(LONGEST + 1), &[]), Err(Unfit::TooLong));
        let many = |count: usize, key: usize| {
            let one = |number| format!(r#""{number:0>key$}":{{"method":"roots/list"}}"#);
            let all: Vec<String> = (0..count).map(one).collect();
            format!(r#"{{"resultType":"input_required","inputRequests":{{{}}}}}"#, all.join(","))
        };
        assert!(taken(&many(QUESTIONS, 4), &[]).is_ok());
        assert_eq!(taken(&many(QUESTIONS + 1, 4), &[]), Err(Unfit::TooLong));
        assert_eq!(taken(&many(50, LONGEST / 40), &[]), Err(Unfit::TooLong));
        assert_eq!(taken(r#"{"content":[]}"#, &[]), Ok((None, r#"{"content":[]}"#.into())));
    }

    #[test]
    fn an_error_asks_however_its_code_is_written() {
        let asks =
            |error: &str| asks_by_error(parse(error.as_bytes()).unwrap().as_object().unwrap());
        for code in ["-32042", "-32042.0", "-3.2042e4", "-320420e-1"] {
            assert_eq!(asks(&format!(r#"{{"code":{code},"message":""}}"#)), Ok(true), "{code}");
        }
        for code in ["-32041", "0", "\"-32042\"", "null"] {
            assert_eq!(asks(&format!(r#"{{"code":{code}}}"#)), Ok(false), "{code}");
        }
        assert_eq!(asks(r#"{"code":1,"Code":-32042}"#), Err(Unfit::Malformed));
    }

    #[test]
    fn answers_are_to_what_was_asked() {
        let asked = Asked { caller: ["a".into(), "b".into()].into(), ..Asked::default() };
        for (answers, are) in [
            (r#"{"a":{},"b":{"action":"accept"}}"#, true),
            (r#"{"b":{}}"#, true),
            ("{}", true),
            (r#"{"a":{},"c":{}}"#, false),
            (r#"{"a":"yes"}"#, false),
            (r#"["a"]"#, false),
        ] {
            let answers = parse(answers.as_bytes()).unwrap();
            assert_eq!(asked.is_answered_by(&answers), are, "{}", text(&answers));
        }
    }
}
