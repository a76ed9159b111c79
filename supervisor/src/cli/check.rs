//! `sandboxd check`.

use super::output::{say, say_json, warn};
use super::typed::Check;
use super::{NOT_SET_UP, load};
use crate::sandbox::StartError;
use serde_json::json;

pub(crate) fn check(arguments: &Check) -> u8 {
    let name = load::name(&arguments.grants);
    let checked = load::load(&arguments.grants)
        .and_then(|loaded| load::resolved(&loaded))
        .map(|resolved| resolved.waived);
    let said = match (&checked, arguments.json) {
        (Ok(waived), true) => say_json(&json!({ "ok": true, "waived": waived })),
        (Ok(waived), false) => {
            let mut text = format!("{name}: can be run here\n");
            for one in waived {
                text.push_str(&format!("  waived  {}: {}\n", one.key, one.what));
            }
            say(&text)
        }
        (Err(error), true) => say_json(&error.json(&name)),
        (Err(error), false) => {
            warn(&error.text(&name));
            true
        }
    };
    match checked {
        Ok(_) if said => 0,
        Ok(_) | Err(StartError::Problems(_) | StartError::Failed(_) | StartError::Call { .. }) => {
            NOT_SET_UP
        }
    }
}
