//! Writes `table.in` from `builtin/syscalls/*.toml`, and fails where the two differ: no launch reads
//! TOML. `SANDBOXD_BLESS=1 cargo test -p sandboxd-profiles syscalls` brings the table up to date; run
//! it twice, since the other tests see the new table only after the next compilation.

use super::data::{ERRNOS, Sockets};
use serde::Deserialize;
use std::{collections::BTreeMap, fmt::Write, fs, path::Path};

const FILES: [&str; 6] = ["allowed", "network", "opt-in", "refused", "probes", "init"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Numbers {
    numbers: BTreeMap<String, u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Groups {
    groups: BTreeMap<String, GroupText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupText {
    about: String,
    answer: String,
    #[serde(default)]
    fixed: bool,
    calls: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bases {
    bases: BTreeMap<String, BaseText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BaseText {
    about: String,
    groups: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Checks {
    checks: Vec<CheckText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CheckText {
    calls: String,
    sockets: Option<SocketsText>,
    #[serde(default)]
    shared: bool,
    when: Vec<ConditionText>,
    answer: String,
    reason: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum SocketsText {
    UnixOnly,
    Inet,
    InetOnly,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConditionText {
    argument: u8,
    /// It says so, or does not say it.
    #[serde(default)]
    given: bool,
    mask: Option<u32>,
    is: Option<Vec<u32>>,
    not: Option<Vec<u32>>,
}

fn read<T: serde::de::DeserializeOwned>(name: &str) -> T {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("builtin/syscalls/{name}.toml"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    toml::from_str(&text).unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

fn errno(name: &str) -> u16 {
    let found = ERRNOS.iter().find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("no errno {name}")).1
}

fn calls(text: &str, numbers: &BTreeMap<String, u32>) -> String {
    assert!(!text.trim().is_empty(), "a line without calls");
    let mut list: Vec<u32> = text
        .split_whitespace()
        .map(|name| *numbers.get(name).unwrap_or_else(|| panic!("no system call {name}")))
        .collect();
    list.sort_unstable();
    format!("&{list:?}")
}

fn reason(text: &str) -> &str {
    assert!(text.len() >= 5, "every line has a reason");
    text
}

fn group(out: &mut String, name: &str, text: &GroupText, numbers: &BTreeMap<String, u32>) {
    let answer = match text.answer.as_str() {
        "allow" => String::from("Answer::Allow"),
        refusal => format!("Answer::Errno({})", errno(refusal)),
    };
    writeln!(out, "    Group {{").unwrap();
    writeln!(out, "        name: {name:?},").unwrap();
    writeln!(out, "        about: {:?},", reason(&text.about)).unwrap();
    writeln!(out, "        answer: {answer},").unwrap();
    writeln!(out, "        fixed: {},", text.fixed).unwrap();
    writeln!(out, "        lines: &[").unwrap();
    for (names, why) in &text.calls {
        let calls = calls(names, numbers);
        writeln!(out, "            Line {{ calls: {calls}, reason: {:?} }},", reason(why)).unwrap();
    }
    writeln!(out, "        ],\n    }},").unwrap();
}

fn check(out: &mut String, text: &CheckText, numbers: &BTreeMap<String, u32>) {
    let sockets = match text.sockets {
        None => String::from("None"),
        Some(SocketsText::UnixOnly) => format!("Some(Sockets::{:?})", Sockets::UnixOnly),
        Some(SocketsText::Inet) => format!("Some(Sockets::{:?})", Sockets::Inet),
        Some(SocketsText::InetOnly) => format!("Some(Sockets::{:?})", Sockets::InetOnly),
    };
    writeln!(out, "    Check {{").unwrap();
    writeln!(out, "        calls: {},", calls(&text.calls, numbers)).unwrap();
    writeln!(out, "        sockets: {sockets},").unwrap();
    writeln!(out, "        shared: {},", text.shared).unwrap();
    writeln!(out, "        when: &[").unwrap();
    for condition in &text.when {
        let argument = condition.argument;
        assert!(argument < 6, "a call has six arguments");
        let mask = condition.mask.unwrap_or(u32::MAX);
        if condition.given {
            let alone = (condition.mask, &condition.is, &condition.not);
            assert!(matches!(alone, (None, None, None)), "`given` stands alone");
            let given = format!("argument: {argument}, mask: {mask:#x}, test: Test::Given");
            writeln!(out, "            Condition {{ {given} }},").unwrap();
            continue;
        }
        let (word, values) = match (&condition.is, &condition.not) {
            (Some(values), None) => ("Is", values),
            (None, Some(values)) => ("Not", values),
            (None, None) | (Some(_), Some(_)) => panic!("a condition has `is` or `not`"),
        };
        let list: Vec<String> = values.iter().map(|value| format!("{value:#x}")).collect();
        assert!(!values.is_empty() && values.iter().all(|value| value & !mask == 0), "{list:?}");
        writeln!(
            out,
            "            Condition {{ argument: {argument}, mask: {mask:#x}, test: Test::{word}(&[{}]) }},",
            list.join(", ")
        )
        .unwrap();
    }
    writeln!(out, "        ],").unwrap();
    writeln!(out, "        errno: {},", errno(&text.answer)).unwrap();
    writeln!(out, "        reason: {:?},\n    }},", reason(&text.reason)).unwrap();
}

fn table() -> String {
    let numbers = read::<Numbers>("numbers").numbers;
    let mut by_number: Vec<(u32, &String)> = numbers.iter().map(|(name, at)| (*at, name)).collect();
    by_number.sort_unstable();
    let mut out = String::from(
        "// Made from `builtin/syscalls/*.toml` by the test in `generate.rs`: change those, not this.\n\n\
         /// Every known system call of x86_64, in order of numbers.\n\
         pub(super) const NUMBERS: &[(u32, &str)] = &[\n",
    );
    for (number, name) in by_number {
        writeln!(out, "    ({number}, {name:?}),").unwrap();
    }
    out.push_str("];\n\n/// Every group that a base or a profile can name.\n");
    out.push_str("pub(super) const GROUPS: &[Group] = &[\n");
    let mut init = String::new();
    for file in FILES {
        for (name, text) in &read::<Groups>(file).groups {
            group(if file == "init" { &mut init } else { &mut out }, name, text, &numbers);
        }
    }
    out.push_str("];\n\n/// What PID 1 may do.\npub(super) const INIT: Group =\n");
    out.push_str(init.trim_end().trim_end_matches(','));
    out.push_str(";\n\n/// Every base.\npub(super) const BASES: &[Base] = &[\n");
    for (name, text) in &read::<Bases>("bases").bases {
        let about = reason(&text.about);
        writeln!(
            out,
            "    Base {{ name: {name:?}, about: {about:?}, groups: &{:?} }},",
            text.groups
        )
        .unwrap();
    }
    out.push_str("];\n\n/// Every check of arguments, in the order in which they are made.\n");
    out.push_str("pub(super) const CHECKS: &[Check] = &[\n");
    for text in &read::<Checks>("arguments").checks {
        check(&mut out, text, &numbers);
    }
    out.push_str("];\n");
    out
}

#[test]
fn the_table_is_what_the_data_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/syscalls/table.in");
    let wanted = table();
    if std::env::var_os("SANDBOXD_BLESS").is_some() {
        fs::write(&path, &wanted).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap();
    assert!(found == wanted, "{path:?} is out of date: SANDBOXD_BLESS=1 cargo test writes it");
}

#[test]
fn no_line_is_written_twice_in_one_folder() {
    let mut seen = BTreeMap::new();
    for file in FILES {
        for name in read::<Groups>(file).groups.into_keys() {
            if let Some(before) = seen.insert(name.clone(), file) {
                panic!("group {name} is in {before} and in {file}");
            }
        }
    }
    assert_eq!(seen.get("init"), Some(&"init"));
}
