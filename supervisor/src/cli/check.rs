//! `sandboxd check`.

use super::output::{say, say_json, warn};
use super::typed::Check;
use super::{NOT_SET_UP, load};
use crate::sandbox::StartError;
use sandboxd_profiles::resolved::Waived;
use serde_json::{Value, json};

pub(crate) fn check(arguments: &Check) -> u8 {
    let name = load::name(&arguments.grants);
    let checked = load::load(&arguments.grants)
        .and_then(|loaded| Ok((load::resolved(&loaded)?.waived, load::callees_waived(&loaded)?)));
    let said = match (&checked, arguments.json) {
        (Ok((waived, called)), true) => {
            let called =
                called.iter().map(|(name, waived)| json!({ "profile": name, "waived": waived }));
            let called: Vec<Value> = called.collect();
            say_json(&json!({ "ok": true, "waived": waived, "called": called }))
        }
        (Ok((waived, called)), false) => {
            let mut text = can_be_run(&name, waived);
            for (name, waived) in called {
                text.push_str(&format!("called {}", can_be_run(name, waived)));
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

fn can_be_run(name: &str, waived: &[Waived]) -> String {
    let lines = waived.iter().map(|one| format!("  waived  {}: {}\n", one.key, one.what));
    format!("{name}: can be run here\n{}", lines.collect::<String>())
}
