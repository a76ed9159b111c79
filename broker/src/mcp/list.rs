//! Lists of what there is, without what the edge does not have. The order stays.

use super::Era;
use crate::{
    json::{Object, Value},
    rpc,
};
use sandboxd_broker_plan::Pattern;

/// What is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    /// `tools/list`
    Tools,
    /// `resources/list`
    Resources,
    /// `resources/templates/list`
    Templates,
    /// `prompts/list`
    Prompts,
}

impl Listed {
    /// The key of the list in a result.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Resources => "resources",
            Self::Templates => "resourceTemplates",
            Self::Prompts => "prompts",
        }
    }

    /// The method that asks for it.
    #[must_use]
    pub const fn method(self) -> &'static str {
        match self {
            Self::Tools => "tools/list",
            Self::Resources => "resources/list",
            Self::Templates => "resources/templates/list",
            Self::Prompts => "prompts/list",
        }
    }

    /// What an entry is known by; nothing where that may be read in two ways.
    #[must_use]
    pub fn name(self, entry: &Object) -> Option<&str> {
        let key = match self {
            Self::Tools | Self::Prompts => "name",
            Self::Resources => "uri",
            Self::Templates => "uriTemplate",
        };
        entry.str(key).filter(|_| !rpc::ambiguous(entry, &[key]))
    }
}

/// Takes out of a result the entries that are not kept; what is no list of objects is an empty one.
/// How many were taken out.
pub fn filter(listed: Listed, result: &mut Object, mut keep: impl FnMut(&Object) -> bool) -> usize {
    let all = match result.get_mut(listed.key()) {
        Some(Value::Array(all)) => std::mem::take(all),
        _ => Vec::new(),
    };
    let before = all.len();
    let kept: Vec<Value> =
        all.into_iter().filter(|entry| entry.as_object().is_some_and(&mut keep)).collect();
    let gone = before - kept.len();
    result.set(listed.key(), Value::Array(kept));
    gone
}

/// What this caller sees is nobody else's, and is looked at again each time.
pub fn uncached(era: Era, result: &mut Object) {
    if era == Era::Modern {
        result.set("ttlMs", 0_u64.into());
        result.set("cacheScope", "private".into());
    }
}

/// Whether a template may stand for a URI that a pattern means. Which URI it is will be looked at
/// when it is read.
#[must_use]
pub fn may_stand_for(template: &str, pattern: &Pattern) -> bool {
    let fixed = template.split_once('{').map_or(template, |(fixed, _)| fixed);
    match pattern.as_str().strip_suffix('*') {
        Some(beginning) => fixed.starts_with(beginning) || beginning.starts_with(fixed),
        None => pattern.as_str().starts_with(fixed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{parse, text};
    use proptest::prelude::*;

    #[test]
    fn the_order_stays_and_unknown_keys_of_what_is_kept_survive() {
        let json =
            r#"{"tools":[{"name":"a","x":1.0},7,{"name":"b"},{"y":1},{"name":"c"}],"n":"p2"}"#;
        let Value::Object(mut result) = parse(json.as_bytes()).unwrap() else { panic!() };
        let keep = |entry: &Object| entry.str("name").is_some_and(|name| name != "b");
        assert_eq!(filter(Listed::Tools, &mut result, keep), 3);
        assert_eq!(
            text(&Value::Object(result)),
            r#"{"tools":[{"name":"a","x":1.0},{"name":"c"}],"n":"p2"}"#
        );
    }

    #[test]
    fn what_is_no_list_has_nothing_in_it() {
        for json in ["{}", r#"{"tools":{"a":{"name":"x"}}}"#, r#"{"tools":"x"}"#] {
            let Value::Object(mut result) = parse(json.as_bytes()).unwrap() else { panic!() };
            filter(Listed::Tools, &mut result, |_| true);
            assert_eq!(result.get("tools"), Some(&Value::Array(Vec::new())));
        }
    }

    #[test]
    fn a_template_is_there_where_it_may_stand_for_something_allowed() {
        let pattern = |text| Pattern::try_from(text).unwrap();
        assert!(may_stand_for("file:///{path}", &pattern("file:///srv/*")));
        assert!(may_stand_for("file:///srv/{path}", &pattern("file:///*")));
        assert!(may_stand_for("file:///srv/{path}", &pattern("file:///srv/x")));
        assert!(!may_stand_for("db://{table}", &pattern("file:///*")));
    }

    proptest! {
        #[test]
        fn nothing_is_left_that_was_not_kept(names in proptest::collection::vec("[a-d]{1,2}", 0..20)) {
            let entries = names.iter().map(|name| [("name", name.as_str().into())].into()).collect();
            let mut result: Object = [("tools", Value::Array(entries))].into();
            filter(Listed::Tools, &mut result, |entry| entry.str("name") != Some("a"));
            let left: Vec<_> = result.get("tools").unwrap().as_array().unwrap().iter()
                .map(|entry| entry.as_object().unwrap().str("name").unwrap().to_owned()).collect();
            let wanted: Vec<_> = names.into_iter().filter(|name| name != "a").collect();
            prop_assert_eq!(left, wanted);
        }
    }
}
