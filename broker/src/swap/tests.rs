use super::*;
use crate::json::parse;

fn name(text: &str) -> Name {
    Name::try_from(text).unwrap()
}

fn place(secret: u32, arguments: &[&str]) -> Placeholder {
    let arguments = arguments.iter().map(|text| (*text).to_owned()).collect();
    Placeholder { secret, tools: vec!["query".into()], arguments }
}

fn keyring(values: &[(&str, &[u8])], before: Option<&Keyring>) -> Result<Keyring, SecretError> {
    let mut secrets = Secrets::default();
    values.iter().for_each(|(_, value)| secrets.push(value).unwrap());
    let names: Vec<Name> = values.iter().map(|(text, _)| name(text)).collect();
    Keyring::of(&names, &secrets, before)
}

fn cleaned(keys: &Keyring, text: &str) -> Option<String> {
    let hidden: Vec<&Hidden> = keys.hidden().map(Arc::as_ref).collect();
    hide::clean(hidden.into_iter(), text)
}

fn joined(pieces: &[Piece]) -> String {
    let bytes = pieces.iter().flat_map(|piece| match piece {
        Piece::Text(text) => text.as_slice(),
        Piece::Secret(secret) => secret.bytes(),
    });
    String::from_utf8(bytes.copied().collect()).unwrap()
}

#[test]
fn a_placeholder_counts_where_its_secret_may_stand_and_nowhere_else() {
    let (dsn, all) = (place(0, &["/dsn", "/a~1b/~0"]), place(1, &["/headers", "/list/1"]));
    let names = [name("db"), name("api")];
    let found = |arguments: &str| {
        found(&parse(arguments.as_bytes()).unwrap(), &[&dsn, &all], &names)
            .map(|found| (found.secrets, found.count))
    };
    for (arguments, expected) in [
        (r#"{"dsn":"x"}"#, Ok((0, 0))),
        (r#"{"dsn":"p://app:{{secret:db}}@h"}"#, Ok((1, 1))),
        (r#"{"dsn":"{{secret:db}}{{secret:db}}"}"#, Ok((1, 2))),
        (r#"{"dsn":"{{{secret:db}}}"}"#, Ok((1, 1))),
        (r#"{"dsn":"\u007b{secret:db}}"}"#, Ok((1, 1))),
        (r#"{"a/b":{"~":"{{secret:db}}"}}"#, Ok((1, 1))),
        (r#"{"headers":{"x":[{"y":"{{secret:api}}"}]},"dsn":"{{secret:db}}"}"#, Ok((3, 2))),
        (r#"{"list":["a","{{secret:api}}"]}"#, Ok((2, 1))),
        (r#"{"list":["{{secret:api}}"]}"#, Err(Unfit::Misplaced)),
        (r#"{"dsn":"{{secret:api}}"}"#, Err(Unfit::Misplaced)),
        (r#"{"dsn":"{{secret:other}}"}"#, Err(Unfit::Misplaced)),
        (r#"{"dsn":"{{secret:}}"}"#, Err(Unfit::Misplaced)),
        (r#"{"dsn":"{{secret:db}"}"#, Err(Unfit::Misplaced)),
        (r#"{"dsn":"{{secret:{{secret:db}}}}"}"#, Err(Unfit::Misplaced)),
        (r#"{"dsn2":"{{secret:db}}"}"#, Err(Unfit::Misplaced)),
        (r#"{"note":"{{secret:db}}"}"#, Err(Unfit::Misplaced)),
        (r#"{"{{secret:db}}":"x"}"#, Err(Unfit::Misplaced)),
        (r#"{"headers":{"{{secret:api}}":1}}"#, Err(Unfit::Misplaced)),
        // Other braces are the caller's own.
        (r#"{"note":"{{ secret:db }} {{x}} secret:db"}"#, Ok((0, 0))),
    ] {
        assert_eq!(found(arguments), expected, "{arguments}");
    }
    let many = |count: usize| found(&format!(r#"{{"dsn":"{}"}}"#, "{{secret:db}}".repeat(count)));
    assert_eq!((many(MANY), many(MANY + 1)), (Ok((1, MANY)), Err(Unfit::TooMany)));
    let whole = place(0, &[""]);
    let anywhere = parse(br#"{"x":{"y":"{{secret:db}}"}}"#).unwrap();
    assert_eq!(super::found(&anywhere, &[&whole], &names).map(|found| found.secrets), Ok(1));
}

#[test]
fn what_a_secret_is_is_written_as_json_has_it_and_read_for_nothing_else() {
    let value = "q\"uo\\te\u{1}\n{{secret:api}}ä".as_bytes();
    let keys = keyring(&[("db", value), ("api", b"another")], None).unwrap();
    let pieces = keys.pieces(r#"{"a":"x{{secret:db}}y{{secret:api}}"}"#).unwrap();
    let line = joined(&pieces);
    let read = parse(line.as_bytes()).unwrap();
    let text = read.as_object().unwrap().str("a").unwrap();
    assert_eq!(text, format!("x{}yanother", String::from_utf8_lossy(value)));
    assert_eq!(keys.pieces("{{secret:other}}"), None);
    assert_eq!(keys.pieces("{{secret:db"), None);
    assert!(!format!("{keys:?} {pieces:?}").contains("another"));
}

#[test]
fn it_is_covered_in_its_forms_and_goes_on_to_be_when_it_is_another() {
    let first = keyring(&[("db", b"s3cr3t/\"va?lue+")], None).unwrap();
    let both = keyring(&[("db", b"renewed-one")], Some(&first)).unwrap();
    let again = keyring(&[("db", b"renewed-one")], Some(&both)).unwrap();
    assert_eq!(again.0[0].hidden.len(), 2);
    for text in [
        "a s3cr3t/\"va?lue+ b",
        "s3cr3t%2F%22va%3Flue%2B",
        r#"{"x":"s3cr3t/\"va?lue+"}"#,
        "YTpzM2NyM3QvInZhP2x1ZSs=",
        "7333637233742f227661 3f6c75652b renewed-one",
    ] {
        let clean = cleaned(&both, text).unwrap();
        assert!(clean.contains("«secret:db»") && !clean.contains("s3cr3t"), "{text}: {clean}");
    }
    assert_eq!(cleaned(&both, "nothing of it"), None);
}

#[test]
fn none_is_longer_than_it_counts_as() {
    assert_eq!(u64::try_from(MOST), Ok(Placeholder::COUNTS));
}

#[test]
fn what_could_not_be_carried_or_covered_is_none() {
    let lines: String = (0..700).map(|line| format!("line{line:03}\n")).collect();
    for (value, says) in [
        (&b"\xff\xfe\xfd\xfc\xfb\xfa\xf9"[..], "UTF-8"),
        (b"short", "short"),
        (b"short\n", "short"),
        (&[b'\n'; 5000], "short"),
        (&[1; 2000], "8192"),
        (lines.as_bytes(), "too many lines"),
    ] {
        let error = keyring(&[("db", value)], None).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!(error.why, NotTaken::Unfit);
    }
    assert!(keyring(&[("db", &[b'x'; 8192])], None).is_ok());
    assert!(keyring(&[("db", &[b'x'; 8193])], None).is_err());
}

#[test]
fn what_one_was_long_ago_is_let_go_of_and_what_it_is_again_is_kept() {
    let value = |number: usize| format!("value-{number:03}");
    let mut keys: Option<Keyring> = None;
    for number in (0..30).chain([0]) {
        let next = [("db", value(number)), ("api", String::from("another"))];
        let next = next.each_ref().map(|(name, value)| (*name, value.as_bytes()));
        keys = Some(keyring(&next, keys.as_ref()).unwrap());
    }
    let keys = keys.unwrap();
    let known: Vec<usize> =
        (0..30).filter(|number| cleaned(&keys, &value(*number)).is_some()).collect();
    assert_eq!(known, [0, 22, 23, 24, 25, 26, 27, 28, 29]);
    assert!(cleaned(&keys, "another").is_some());
}

#[test]
fn one_within_another_leaves_no_part_of_it() {
    let first = keyring(&[("db", b"hunter2"), ("api", b"2!xyzabc")], None).unwrap();
    let keys = keyring(&[("db", b"hunter2!xyz"), ("api", b"2!xyzabc")], Some(&first)).unwrap();
    assert_eq!(cleaned(&keys, "a hunter2!xyz b").as_deref(), Some("a «secret:db» b"));
    assert_eq!(cleaned(&keys, "a hunter2!xyzabc b").as_deref(), Some("a «secret:db» b"));
}
