//! Writing to standard output and error. A reader that went away is not a reason to panic.

use std::io::Write;

/// Writes to standard output; says whether that worked.
pub(crate) fn say(text: &str) -> bool {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_ok()
}

/// Writes to standard error. Where that is closed, there is nobody to tell.
pub(crate) fn warn(text: &str) {
    std::io::stderr().lock().write_all(text.as_bytes()).ok();
}

/// Writes a value as indented JSON to standard output.
pub(crate) fn say_json(value: &impl serde::Serialize) -> bool {
    serde_json::to_string_pretty(value).is_ok_and(|text| say(&format!("{text}\n")))
}
