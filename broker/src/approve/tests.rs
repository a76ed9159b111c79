use super::{Answer, Approvals, EACH, LONGEST, MOST};
use crate::{
    limit::Moment,
    relay::{Ask, CallId, Verdict},
};
use sandboxd_broker_plan::letters::is_ignorable;

const NOW: Moment = Moment(5_000_000_000);

fn ask(call: u64, parameters: &str) -> Ask {
    Ask {
        call: CallId(call),
        caller: String::from("agent"),
        chains: vec![vec![String::from("planner"), String::from("agent")]],
        edge: String::from("fs"),
        callee: String::from("files"),
        method: String::from("tools/call"),
        name: String::from("write_file"),
        parameters: parameters.to_owned(),
        digest: [1; 32],
        expires: Moment(215_000_000_000),
    }
}

fn holding(parameters: &str) -> Approvals {
    let mut approvals = Approvals::somebody([3; 32]);
    approvals.hold(ask(1, parameters), NOW).unwrap();
    approvals
}

fn said(approvals: &mut Approvals, line: &str) -> Answer {
    approvals.hear(line.as_bytes(), NOW)
}

#[test]
fn letters_that_are_not_seen_are_those_that_unicode_says() {
    let unicode = regex::Regex::new(r"^\p{Default_Ignorable_Code_Point}$").unwrap();
    for letter in '\0'..=char::MAX {
        let ignorable = unicode.is_match(letter.encode_utf8(&mut [0; 4]));
        assert_eq!(is_ignorable(letter), ignorable, "{}", letter.escape_unicode());
    }
}

#[test]
fn a_call_is_shown_whole_and_acts_on_no_terminal() {
    let mut approvals = holding(
        r#"{"arguments":{"content":"a\u001b[2J\r\nb\u202e\u200b","path\u0007":"/srv/d\u0430ta","z":{"x":[1,{"y":null}]}},"name":"write_file"}"#,
    );
    let text = said(&mut approvals, "list").text;
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("yes"));
    assert_eq!(lines.next().map(str::len), Some("xxxx-xxxx-xxxx".len()));
    let rest: Vec<&str> = lines.collect();
    let expected = [
        "  caller    agent",
        "  for       planner > agent",
        "  calls     tools/call write_file of files",
        "  over      [call.fs]",
        "  parameters",
        r#"    "arguments":"#,
        r#"      "content": "a\u001b[2J\r\nb\u202e\u200b""#,
        r#"      "path\u0007": "/srv/d\u0430ta""#,
        "        reads \"path\\u0007\": \"/srv/d\u{430}ta\"",
        r#"      "z": {"x":[1,{"y":null}]}"#,
        "  digest    sha256:0101010101010101010101010101010101010101010101010101010101010101",
        "  waits     1 s; denied in 3 min",
    ];
    assert_eq!(rest, expected);
    let json = said(&mut approvals, "list json").text;
    assert!(json.starts_with("yes\n{\"id\":\"") && json.is_ascii(), "{json}");
    let line: serde_json::Value = serde_json::from_str(json.lines().nth(1).unwrap()).unwrap();
    assert_eq!(line["parameters"]["arguments"]["content"], "a\u{1b}[2J\r\nb\u{202e}\u{200b}");
    assert_eq!(line["denied_in_ms"], 210_000);
}

#[test]
fn a_name_of_a_callers_own_is_quoted() {
    let mut asked = ask(1, r#"{"uri":"file:///x\n  digest    sha256:0"}"#);
    asked.name = String::from("x\n  digest    sha256:00");
    let mut approvals = Approvals::somebody([3; 32]);
    approvals.hold(asked, NOW).unwrap();
    let text = said(&mut approvals, "list").text;
    assert_eq!(text.lines().filter(|line| line.starts_with("  digest ")).count(), 1, "{text}");
    assert!(text.contains(r#""x\n  digest    sha256:00""#), "{text}");
}

#[test]
fn an_answer_is_for_one_call_and_for_once() {
    let mut approvals = holding("{}");
    approvals.hold(ask(2, "{}"), NOW).unwrap();
    let text = said(&mut approvals, "list").text;
    let ids: Vec<&str> = text.lines().filter(|line| line.len() == 14).collect();
    let [first, second] = ids.as_slice() else { unreachable!("two different IDs: {text}") };
    let decided =
        said(&mut approvals, &format!("approve {}", first.to_uppercase())).decided.unwrap();
    assert_eq!((decided.call, decided.digest), (CallId(1), [1; 32]));
    assert_eq!(decided.verdict, Verdict::Approved);
    for line in [format!("approve {first}"), format!("deny {first}"), "approve".into()] {
        let answer = said(&mut approvals, &line);
        assert!(answer.decided.is_none() && answer.text.starts_with("no\n"), "{line}");
    }
    let denied = said(&mut approvals, &format!("deny {second} use the other one")).decided.unwrap();
    let why = String::from("the approver denied it: use the other one");
    assert_eq!((denied.call, denied.verdict), (CallId(2), Verdict::Denied(why)));
    approvals.hold(ask(3, "{}"), NOW).unwrap();
    approvals.withdraw(CallId(3));
    assert_eq!((approvals.count(), said(&mut approvals, "list").text), (0, String::from("yes\n")));
}

#[test]
fn an_id_is_of_the_exact_call_and_of_this_broker() {
    let id = |secret, asked: Ask| {
        let mut approvals = Approvals::somebody([secret; 32]);
        approvals.hold(asked, NOW).unwrap();
        said(&mut approvals, "list").text.lines().nth(1).unwrap().to_owned()
    };
    let same = id(3, ask(1, "{}"));
    let other = Ask { digest: [2; 32], ..ask(1, "{}") };
    assert_eq!(same, id(3, ask(1, "{}")));
    for different in [id(4, ask(1, "{}")), id(3, ask(2, "{}")), id(3, other)] {
        assert_ne!(same, different);
    }
}

#[test]
fn what_would_hide_a_call_is_denied_at_once() {
    assert!(Approvals::nobody().hold(ask(1, "{}"), NOW).is_err());
    let mut approvals = Approvals::somebody([3; 32]);
    assert!(approvals.hold(ask(1, &"x".repeat(LONGEST + 1)), NOW).is_err());
    let held = (0..100).filter(|call| approvals.hold(ask(*call, "{}"), NOW).is_ok()).count();
    assert_eq!(held, EACH);
    for call in 100..200 {
        let other = Ask { caller: call.to_string(), ..ask(call, "{}") };
        approvals.hold(other, NOW).ok();
    }
    assert_eq!(approvals.count(), MOST);
}
