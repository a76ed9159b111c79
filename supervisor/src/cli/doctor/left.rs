//! What killed supervisors left behind, as doctor tells it.

use crate::cli::clean::{self, Found};
use crate::explain::printable;
use crate::sandbox::StartError;
use serde_json::{Map, Value, json};

/// What killed supervisors left behind, or why that is not known.
pub(super) fn words(left: &Result<Found, StartError>) -> String {
    match left {
        Ok(left) => clean::words(left, "left"),
        Err(error) => {
            let [why, remedy] = [error.line(), error.remedy().unwrap_or_default()];
            let [why, remedy] = [why, remedy].map(|text| printable(&text));
            format!("left behind: not known: {why}\n  remedy  {remedy}\n")
        }
    }
}

/// The same, for programs: nothing of what is not known is told as none.
pub(super) fn json(left: &Result<Found, StartError>) -> Map<String, Value> {
    let (left, why) = (left.as_ref().ok(), left.as_ref().err().map(StartError::line));
    let told = [
        ("left_behind", json!(left.map(|left| &left.left))),
        ("living", json!(left.map(|left| left.living))),
        ("stays", json!(left.map(|left| &left.failed))),
        ("left_behind_not_known", json!(why)),
    ];
    told.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_looked_for_is_not_told_as_none() {
        let left = Err(StartError::found("open", "/run/sandboxd").with_remedy("make it yours"));
        let said = words(&left);
        assert!(said.starts_with("left behind: not known: "), "{said}");
        assert!(said.ends_with("  remedy  make it yours\n"), "{said}");
        let told = json(&left);
        assert!(["left_behind", "living", "stays"].iter().all(|name| told[*name].is_null()));
        assert!(told["left_behind_not_known"].is_string(), "{told:?}");
        let told = json(&Ok(Found::default()));
        assert_eq!(told["left_behind"], json!([]));
        assert!(told["left_behind_not_known"].is_null(), "{told:?}");
    }
}
