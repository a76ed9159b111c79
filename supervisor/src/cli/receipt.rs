//! `sandboxd receipt check`: what a run was enforced with, against what it may lack.

use super::NOT_SET_UP;
use super::output::{say, say_json, warn};
use super::typed::{ReceiptCheck, ReceiptCommand};
use crate::explain::{self, printable};
use crate::sandbox::LayerState;
use sandboxd_profiles::schema::Require;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// A receipt is a few thousand bytes; nothing that is much longer is one.
const MOST_BYTES: u64 = 1 << 20;
/// The one version of the format that there is.
const VERSION: u32 = 1;
/// Where something was missing without leave.
const MISSING: u8 = 1;

/// What of a receipt is looked at.
#[derive(Debug, Deserialize)]
struct Receipt {
    version: u32,
    sandbox: String,
    kernel: String,
    layers: Vec<Layer>,
    waived: Vec<Waived>,
    absent: Vec<Absent>,
}

#[derive(Debug, Deserialize)]
struct Layer {
    name: String,
    state: LayerState,
}

#[derive(Debug, Deserialize)]
struct Waived {
    key: String,
    what: String,
}

#[derive(Debug, Deserialize)]
struct Absent {
    layer: String,
    what: String,
}

/// Something that was not enforced.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Missing {
    /// What `--may-lack` calls it.
    name: String,
    what: String,
    leave: bool,
}

/// Why there is no answer.
struct Refused {
    what: String,
    remedy: String,
}

pub(crate) fn receipt(command: &ReceiptCommand) -> u8 {
    let ReceiptCommand::Check(arguments) = command;
    let checked = read(&arguments.file).and_then(|receipt| {
        let leave = leave(arguments, &receipt)?;
        Ok((missing(&receipt, &leave), receipt, leave))
    });
    match checked {
        Ok((missing, receipt, leave)) => answer(&receipt, &missing, &leave, arguments.json),
        Err(Refused { what, remedy }) if arguments.json => {
            let refused = serde_json::json!({ "ok": false, "error": what, "remedy": remedy });
            say_json(&refused);
            NOT_SET_UP
        }
        Err(Refused { what, remedy }) => {
            warn(&format!("sandboxd: {what}\n  remedy  {remedy}\n"));
            NOT_SET_UP
        }
    }
}

fn read(path: &Path) -> Result<Receipt, Refused> {
    let name = printable(&path.display().to_string());
    let mut text = String::new();
    let opened = File::open(path).map(|file| file.take(MOST_BYTES));
    opened.and_then(|mut file| file.read_to_string(&mut text)).map_err(|error| Refused {
        what: format!("{name} could not be read: {}", explain::io(&error)),
        remedy: String::from(
            "give the file that `sandboxd run --receipt FILE` wrote; without that file, the command was not run",
        ),
    })?;
    let none = |what: String| Refused {
        what: format!("{name} is not a receipt: {}", printable(&what)),
        remedy: String::from("give the complete file that `sandboxd run --receipt FILE` wrote"),
    };
    let receipt: Receipt = serde_json::from_str(&text).map_err(|error| none(error.to_string()))?;
    if receipt.version != VERSION {
        return Err(none(format!("its version is {}, not {VERSION}", receipt.version)));
    }
    if receipt.layers.is_empty() {
        return Err(none(String::from("it names no layer")));
    }
    Ok(receipt)
}

/// The names that were typed. One that nothing has is a mistake, and would be a leave for nothing.
fn leave(arguments: &ReceiptCheck, receipt: &Receipt) -> Result<BTreeSet<String>, Refused> {
    let mut known: BTreeSet<String> = Require::names().into_iter().collect();
    known.extend(receipt.layers.iter().map(|layer| layer.name.clone()));
    let typed: BTreeSet<String> = arguments.may_lack.iter().cloned().collect();
    if let Some(name) = typed.difference(&known).next() {
        let known: Vec<String> = known.iter().map(|name| printable(name)).collect();
        return Err(Refused {
            what: format!("--may-lack: there is no layer {:?}", printable(name)),
            remedy: format!("choose of: {}", known.join(", ")),
        });
    }
    Ok(typed)
}

/// All that was not enforced: what the host lacked by leave of `[require]`, what the profile chose to do
/// without, and any other layer that the receipt does not call enforced.
fn missing(receipt: &Receipt, leave: &BTreeSet<String>) -> Vec<Missing> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for Waived { key, what } in &receipt.waived {
        let name = key.strip_prefix("require.").unwrap_or(key);
        found.entry(name.to_owned()).or_default().push(what.clone());
    }
    for Absent { layer, what } in &receipt.absent {
        found.entry(layer.clone()).or_default().push(what.clone());
    }
    for layer in receipt.layers.iter().filter(|layer| layer.state != LayerState::Enforced) {
        found.entry(layer.name.clone()).or_insert_with(|| {
            vec![String::from("not enforced, as the profile or its [require] says")]
        });
    }
    found
        .into_iter()
        .map(|(name, what)| {
            // A leave for the whole is one for each of its parts.
            let whole = name.split('.').next().unwrap_or(&name);
            let leave = leave.contains(&name) || leave.contains(whole);
            Missing { what: what.join("; "), leave, name }
        })
        .collect()
}

fn answer(receipt: &Receipt, missing: &[Missing], leave: &BTreeSet<String>, json: bool) -> u8 {
    let ok = missing.iter().all(|one| one.leave);
    let said = if json {
        say_json(&serde_json::json!({
            "ok": ok,
            "sandbox": receipt.sandbox,
            "kernel": receipt.kernel,
            "missing": missing,
        }))
    } else {
        say(&words(receipt, missing, leave))
    };
    match (said, ok) {
        (false, _) => NOT_SET_UP,
        (true, true) => 0,
        (true, false) => MISSING,
    }
}

fn words(receipt: &Receipt, missing: &[Missing], leave: &BTreeSet<String>) -> String {
    let on = receipt.layers.iter().filter(|layer| layer.state == LayerState::Enforced).count();
    let mut text = format!(
        "{} on Linux {}: {on} of {} layers enforced\n",
        printable(&receipt.sandbox),
        printable(&receipt.kernel),
        receipt.layers.len()
    );
    for Missing { name, what, leave } in missing {
        let head = if *leave { "may lack" } else { "MISSING" };
        text.push_str(&format!("  {head:<9} {}: {}\n", printable(name), printable(what)));
    }
    let without: Vec<&str> =
        missing.iter().filter(|one| !one.leave).map(|one| one.name.as_str()).collect();
    if !without.is_empty() {
        // With those that were typed: what is typed the next time takes their place.
        let mut all: BTreeSet<&str> = leave.iter().map(String::as_str).collect();
        all.extend(without);
        let all: Vec<&str> = all.into_iter().collect();
        text.push_str(&format!(
            "  remedy    run it on a host that has these, or accept that they are missing: --may-lack {}\n",
            printable(&all.join(","))
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{ "version": 1, "sandbox": "s-1", "kernel": "6.18", "more": 1,
        "layers": [{ "name": "seccomp", "state": "enforced" }, { "name": "uid", "state": "absent" },
            { "name": "groups", "state": "waived" }],
        "waived": [{ "key": "require.landlock.scope", "what": "signals" }],
        "absent": [{ "layer": "uid", "what": "it is yours" }] }"#;

    fn names(leave: &[&str]) -> Vec<(String, bool)> {
        let receipt: Receipt = serde_json::from_str(TEXT).unwrap();
        let leave = leave.iter().map(|name| (*name).to_owned()).collect();
        missing(&receipt, &leave).into_iter().map(|one| (one.name, one.leave)).collect()
    }

    #[test]
    fn whatever_is_not_enforced_is_missing_without_its_name() {
        let expected = |leave: [bool; 3]| {
            let names = ["groups", "landlock.scope", "uid"].map(str::to_owned);
            names.into_iter().zip(leave).collect::<Vec<_>>()
        };
        assert_eq!(names(&[]), expected([false; 3]));
        assert_eq!(names(&["uid"]), expected([false, false, true]));
        // The whole covers its parts; a part covers no other.
        assert_eq!(names(&["landlock", "groups"]), expected([true, true, false]));
        assert_eq!(names(&["landlock.ioctl"]), expected([false; 3]));
    }

    #[test]
    fn the_remedy_is_all_that_is_to_be_typed() {
        let receipt: Receipt = serde_json::from_str(TEXT).unwrap();
        let says = |leave: &[&str], words: &str| {
            let leave = leave.iter().map(|name| (*name).to_owned()).collect();
            let text = self::words(&receipt, &missing(&receipt, &leave), &leave);
            assert!(text.contains(words), "{text}");
        };
        says(&[], "--may-lack groups,landlock.scope,uid\n");
        says(&["uid"], "--may-lack groups,landlock.scope,uid\n");
        says(&["cgroup", "landlock", "uid"], "--may-lack cgroup,groups,landlock,uid\n");
    }

    #[test]
    fn a_state_that_is_none_is_no_receipt() {
        let other = TEXT.replace("\"enforced\"", "\"on\"");
        assert!(serde_json::from_str::<Receipt>(&other).is_err());
    }
}
