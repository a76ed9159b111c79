use super::{super::Schema, Check, STEPS};
use crate::json::parse;

fn schema(text: &str) -> Schema {
    Schema::compile(&parse(text.as_bytes()).unwrap()).unwrap()
}

fn holds(schema_text: &str, value: &str) -> bool {
    schema(schema_text).check(&parse(value.as_bytes()).unwrap()).is_ok()
}

/// A schema, values that it allows, values that it does not.
const TABLE: &[(&str, &[&str], &[&str])] = &[
    ("true", &["1"], &[]),
    ("false", &[], &["1"]),
    ("{}", &["1"], &[]),
    (r#"{"type":"integer"}"#, &["1", "1.0", "-3", "1e3"], &["1.5", "\"1\"", "null"]),
    (r#"{"type":["string","null"]}"#, &["\"\"", "null"], &["1", "{}"]),
    (r#"{"enum":[1,{"a":[2.0]}]}"#, &["1.0", r#"{"a":[2]}"#], &["2", r#"{"a":[2],"b":1}"#]),
    (r#"{"const":null}"#, &["null"], &["0", "false"]),
    (r#"{"minLength":2,"maxLength":3}"#, &["\"éé\"", "7"], &["\"é\"", "\"abcd\""]),
    (r#"{"pattern":"^/srv/data/"}"#, &["\"/srv/data/x\"", "1"], &["\"/srv/\"", "\"x/srv/data/\""]),
    // As the book has it.
    (
        r#"{"pattern":"^/srv/data(/[^/.][^/]*)+$"}"#,
        &["\"/srv/data/x\"", "\"/srv/data/a/b..c.txt\""],
        &[
            "\"/srv/data/../x\"",
            "\"/srv/data/a/./x\"",
            "\"/srv/data/a/..\"",
            "\"/srv/data//x\"",
            "\"/srv/data/\"",
            "\"/srv/database/x\"",
        ],
    ),
    (r#"{"minimum":0,"exclusiveMaximum":10}"#, &["0", "9.9"], &["-1", "10", "1e400"]),
    (r#"{"maximum":9007199254740992}"#, &["9007199254740992"], &["9007199254740993"]),
    (r#"{"multipleOf":0.1}"#, &["0.3", "7"], &["0.35"]),
    (r#"{"required":["a"]}"#, &[r#"{"a":1}"#, "1"], &["{}"]),
    (
        r#"{"properties":{"a":{"type":"string"}},"additionalProperties":false}"#,
        &["{}", r#"{"a":"x"}"#],
        &[r#"{"a":1}"#, r#"{"b":1}"#, r#"{"A":"x"}"#],
    ),
    (
        r#"{"patternProperties":{"^x":{"type":"null"}},"additionalProperties":{"type":"string"}}"#,
        &[r#"{"xa":null,"b":"s"}"#],
        &[r#"{"xa":1}"#, r#"{"b":1}"#],
    ),
    (r#"{"propertyNames":{"maxLength":2}}"#, &[r#"{"ab":1}"#], &[r#"{"abc":1}"#]),
    (r#"{"minProperties":1,"maxProperties":1}"#, &[r#"{"a":1}"#], &["{}", r#"{"a":1,"b":2}"#]),
    (r#"{"items":{"type":"string"}}"#, &["[]", r#"["a"]"#], &["[1]"]),
    (r#"{"prefixItems":[{"const":1}],"items":false}"#, &["[1]", "[]"], &["[2]", "[1,2]"]),
    (r#"{"items":[{"const":1}],"additionalItems":false}"#, &["[1]"], &["[2]", "[1,2]"]),
    (r#"{"contains":{"const":1},"maxContains":1}"#, &["[2,1]"], &["[2]", "[1,1]", "[]"]),
    (r#"{"uniqueItems":true,"minItems":1,"maxItems":2}"#, &["[1,2]"], &["[1,1]", "[]", "[1,2,3]"]),
    (r#"{"allOf":[{"minimum":1},{"maximum":2}]}"#, &["1"], &["0", "3"]),
    (r#"{"anyOf":[{"const":1},{"const":2}]}"#, &["1", "2"], &["3"]),
    (r#"{"oneOf":[{"minimum":1},{"maximum":2}]}"#, &["0", "3"], &["1"]),
    (r#"{"not":{"type":"string"}}"#, &["1"], &["\"a\""]),
    (
        r#"{"if":{"required":["a"]},"then":{"required":["b"]},"else":{"required":["c"]}}"#,
        &[r#"{"a":1,"b":1}"#, r#"{"c":1}"#],
        &[r#"{"a":1}"#, "{}"],
    ),
    (r#"{"dependentRequired":{"a":["b"]}}"#, &["{}", r#"{"a":1,"b":1}"#], &[r#"{"a":1}"#]),
    (r#"{"dependencies":{"a":{"required":["b"]}}}"#, &["{}"], &[r#"{"a":1}"#]),
    (r##"{"$ref":"#/$defs/x~1y","$defs":{"x/y":{"type":"null"}}}"##, &["null"], &["1"]),
    (
        r##"{"$defs":{"tree":{"properties":{"next":{"$ref":"#/$defs/tree"},"v":{"type":"null"}}}},
            "$ref":"#/$defs/tree"}"##,
        &[r#"{"next":{"next":{"v":null}}}"#],
        &[r#"{"next":{"next":{"v":1}}}"#],
    ),
];

#[test]
fn each_keyword_allows_what_it_allows_and_nothing_else() {
    for (text, allowed, refused) in TABLE {
        for value in *allowed {
            assert!(holds(text, value), "{text} refuses {value}");
        }
        for value in *refused {
            assert!(!holds(text, value), "{text} allows {value}");
        }
    }
}

#[test]
fn what_cannot_be_checked_is_no_schema() {
    for text in [
        "1",
        "[]",
        r#"{"$ref":"https://example.com/schema"}"#,
        r#"{"$ref":"file:///etc/passwd"}"#,
        r##"{"$ref":"#anchor"}"##,
        r##"{"$ref":"#/nowhere"}"##,
        r#"{"unevaluatedProperties":false}"#,
        r##"{"$dynamicRef":"#x"}"##,
        r#"{"type":"thing"}"#,
        r#"{"pattern":"(?=a)"}"#,
        r#"{"pattern":7}"#,
        r#"{"required":"a"}"#,
        r#"{"minimum":0,"exclusiveMinimum":true}"#,
        r#"{"properties":{"a":{"not":{"minLength":-1}}}}"#,
    ] {
        assert!(Schema::compile(&parse(text.as_bytes()).unwrap()).is_err(), "{text}");
    }
    let wide = format!(r#"{{"allOf":[{}true]}}"#, "true,".repeat(5000));
    assert!(Schema::compile(&parse(wide.as_bytes()).unwrap()).is_err());
}

/// Each of these would keep a checker that does not count busy for ever, or end its stack.
#[test]
fn a_hostile_schema_ends() {
    let doubling = {
        let defs: Vec<String> = (0..60)
            .map(|n| {
                let next = format!(r##"{{"$ref":"#/$defs/d{}"}}"##, n + 1);
                format!(r#""d{n}":{{"allOf":[{next},{next}]}}"#)
            })
            .collect();
        format!(r##"{{"$ref":"#/$defs/d0","$defs":{{{},"d60":true}}}}"##, defs.join(","))
    };
    let any = doubling.replace("allOf", "anyOf").replace("\"d60\":true", "\"d60\":false");
    for text in [
        r##"{"$ref":"#"}"##,
        r##"{"not":{"$ref":"#"}}"##,
        r##"{"anyOf":[{"$ref":"#"},true]}"##,
        r##"{"if":{"$ref":"#"},"else":true}"##,
        doubling.as_str(),
        any.as_str(),
    ] {
        let violation = schema(text).check(&parse(b"{}").unwrap()).unwrap_err();
        assert!(violation.what.contains("too long"), "{text}: {violation}");
    }
}

/// What a check of this costs.
fn steps(schema_text: &str, value: &str) -> u64 {
    let (schema, value) = (schema(schema_text), parse(value.as_bytes()).unwrap());
    let mut check = Check::of(&schema);
    // Whether it holds is nothing to what it costs.
    let _holds = check.node(0, &value).is_ok();
    STEPS - check.steps
}

#[test]
fn every_rule_costs_by_how_much_there_is_to_look_at() {
    let names = |count: usize, letters: usize| {
        let zeros = "0".repeat(letters - 8);
        let all: Vec<String> = (0..count).map(|n| format!("\"{zeros}{n:08}\"")).collect();
        all.join(",")
    };
    let object = |count: usize, letters: usize| {
        format!("{{{}:1}}", names(count, letters).replace(',', ":1,"))
    };
    let long = "x".repeat(1 << 20);
    let digits = "1".repeat(1 << 20);
    let wide = object(1000, 8);
    let cases = [
        (format!(r#"{{"required":[{}]}}"#, names(1000, 8)), wide.clone(), 50_000),
        (format!(r#"{{"required":[{}]}}"#, names(1, 1 << 20)), wide.clone(), 250_000),
        (format!(r#"{{"enum":[{}]}}"#, names(1000, 8)), "\"\"".into(), 1000),
        (format!(r#"{{"const":"{long}"}}"#), format!("\"{long}\""), 256),
        (format!(r#"{{"const":{digits}}}"#), "1".into(), 16_384),
        (format!(r#"{{"minimum":{digits}}}"#), "1".into(), 16_384),
        (r#"{"multipleOf":1}"#.into(), digits.clone(), 16_384),
        (r#"{"type":"integer"}"#.into(), digits, 16_384),
        (r#"{"maxLength":1}"#.into(), format!("\"{long}\""), 1024),
        (format!(r#"{{"const":{wide}}}"#), wide.clone(), 60_000),
        (format!(r#"{{"dependentRequired":{}}}"#, wide.replace(":1", ":[]")), wide.clone(), 60_000),
        (format!(r#"{{"properties":{}}}"#, wide.replace(":1", ":true")), wide, 60_000),
        (format!(r#"{{"allOf":[{}true]}}"#, "true,".repeat(999)), "1".into(), 1000),
        (r#"{"pattern":"(?:a?){2000}b"}"#.into(), format!("\"{}\"", "a".repeat(1000)), 64_000),
    ];
    for (schema, value, least) in cases {
        let (cost, begins) = (steps(&schema, &value), &schema[..schema.len().min(40)]);
        assert!((least..STEPS).contains(&cost), "{begins} costs {cost}");
    }
    // However often it is named, nothing is looked at that is no list any more.
    let types = format!(r#"{{"type":[{}"null"]}}"#, r#""string","#.repeat(40_000));
    assert_eq!(steps(&types, "1"), 2);
}

#[test]
fn nothing_is_said_where_nobody_hears_it_and_little_of_what_is_long() {
    let long = "x".repeat(1 << 20);
    for text in [
        format!(r#"{{"const":"{long}"}}"#),
        format!(r#"{{"enum":[["{long}"],{{"{long}":1}}]}}"#),
        format!(r#"{{"required":["{long}"]}}"#),
        r#"{"properties":{"a":{"type":"string"}}}"#.to_owned(),
    ] {
        let (schema, value) = (schema(&text), parse(br#"{"a":1}"#).unwrap());
        let heard = schema.check(&value).unwrap_err();
        assert!((1..500).contains(&heard.what.len()), "{}", heard.what.len());
        let mut check = Check::of(&schema);
        check.unheard = 1;
        let unheard = check.node(0, &value).unwrap_err();
        assert_eq!((unheard.at, unheard.what), (String::new(), String::new()));
    }
    for form in ["anyOf", "oneOf", "not", "if"] {
        let inner = r#"{"const":1}"#;
        let inner = if form.ends_with("Of") { format!("[{inner}]") } else { inner.to_owned() };
        let schema = schema(&format!(r#"{{"{form}":{inner}}}"#));
        let mut check = Check::of(&schema);
        let _holds = check.node(0, &parse(b"2").unwrap()).is_ok();
        assert_eq!(check.unheard, 0, "{form}");
    }
}

#[test]
fn a_violation_says_where_and_what_in_words() {
    let text = r#"{"properties":{"a/b":{"items":{"type":"string"}}},"required":["path"]}"#;
    let violation = |value: &str| schema(text).check(&parse(value.as_bytes()).unwrap());
    assert_eq!(violation("{}").unwrap_err().to_string(), "\"path\" is missing");
    assert_eq!(
        violation(r#"{"path":1,"a/b":["x",2]}"#).unwrap_err().to_string(),
        "/a~1b/1: must be of type string"
    );
}
