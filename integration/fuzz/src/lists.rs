//! Lists of a callee, and the schemas in them: nothing is left that was not to be kept, and every
//! schema either cannot be checked or is checked to its end.
#![no_main]

use sandboxd_broker::{
    json::{self, Object, Value},
    mcp::list::{self, Listed},
    schema::Schema,
};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(Value::Object(result)) = json::parse(bytes) else { return };
    for listed in [Listed::Tools, Listed::Resources, Listed::Templates, Listed::Prompts] {
        let keep = |entry: &Object| listed.name(entry).is_some_and(|name| name.len() % 2 == 0);
        let mut filtered = result.clone();
        list::filter(listed, &mut filtered, keep);
        let left = filtered.get(listed.key()).and_then(Value::as_array).unwrap_or_default();
        assert!(left.iter().all(|entry| entry.as_object().is_some_and(keep)));
        let mut again = filtered.clone();
        assert_eq!(list::filter(listed, &mut again, keep), 0);
        assert_eq!(again, filtered);
    }
    let whole = Value::Object(result);
    let Ok(schema) = Schema::compile(&whole) else { return };
    // Whatever it says about itself, it says it within its steps.
    let _verdict = schema.check(&whole).is_ok();
});
