//! The profile that is written. Whatever the command chose, names of files and of threads, is in it as quoted
//! text or, escaped, in a comment: nothing of it can be a line.

use super::group::{For, Grants, LeftOut, List};
use crate::explain::printable;
use std::collections::BTreeMap;
use std::fmt::Write;

/// So many of those who needed something are named.
const NAMED: usize = 3;

/// So many names are listed of those that were called over an edge.
const LISTED: usize = 100;

/// What a profile is written from.
pub(crate) struct Learnt<'a> {
    pub(crate) name: Option<&'a str>,
    pub(crate) extends: &'a str,
    /// Nothing where it is no text for a profile.
    pub(crate) exec: &'a [String],
    pub(crate) cwd: Option<&'a str>,
    pub(crate) egress: &'a [String],
    pub(crate) grants: &'a Grants,
    /// System calls by name, and who made them.
    pub(crate) calls: &'a [(String, String)],
    pub(crate) edges: &'a [UsedEdge],
    pub(crate) left_out: &'a [LeftOut],
}

/// What was called over an edge of the profile that is extended.
pub(crate) struct UsedEdge {
    pub(crate) name: String,
    /// Whether that is all that the edge names.
    pub(crate) all: bool,
    /// Whether there may have been more tools than are known.
    pub(crate) forgot: bool,
    /// Names by the key of their list.
    pub(crate) lists: BTreeMap<String, Vec<String>>,
}

/// A text of TOML, on one line whatever is in it.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            letter if letter.is_control() => {
                quoted.push_str(&format!("\\u{:04X}", u32::from(letter)));
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

/// Whether a path can stand in a profile: text without anything that a terminal would act on.
pub(crate) fn is_plain(path: &str) -> bool {
    !path.chars().any(|letter| letter.is_control() || letter == '\u{fffd}')
        && printable(path) == path
}

impl Learnt<'_> {
    pub(crate) fn text(&self) -> String {
        let mut text = String::from(
            "# What one run of this command used, as `sandboxd learn` saw it. Read it before you use it: the\n\
             # command chose the names. System calls that are refused (ptrace and the like) were not seen: where it\n\
             # does not do what it should, run it so and ask `sandboxd why --last`.\n",
        );
        if let Some(name) = self.name {
            text.push_str(&format!("name = {}\n", quoted(name)));
        }
        text.push_str(&format!("extends = [{}]\n", quoted(self.extends)));
        let exec: Vec<String> = self.exec.iter().map(|word| quoted(word)).collect();
        text.push_str("\n[command]\n");
        if !exec.is_empty() {
            text.push_str(&format!("exec = [{}]\n", exec.join(", ")));
        }
        if let Some(cwd) = self.cwd {
            text.push_str(&format!("cwd = {}\n", quoted(cwd)));
        }
        if !self.grants.is_empty() {
            text.push_str("\n[files]\n");
        }
        for list in List::ALL {
            text.push_str(&self.list(list));
        }
        if !self.calls.is_empty() {
            text.push_str("\n[syscalls]\nallow = [\n");
            for (call, by) in self.calls {
                text.push_str(&format!("    {},  # {}\n", quoted(call), comment(by)));
            }
            text.push_str("]\n");
        }
        if !self.egress.is_empty() {
            let to: Vec<String> = self.egress.iter().map(|to| quoted(to)).collect();
            text.push_str(&format!(
                "\n[network]\nmode = \"egress\"\negress = [{}]\n",
                to.join(", ")
            ));
        }
        text.push_str(&self.narrower());
        if !self.left_out.is_empty() {
            text.push_str("\n# Left out, though it was wanted:\n");
        }
        for LeftOut { what, by, why } in self.left_out {
            let by = if by.is_empty() { String::new() } else { format!(" ({})", comment(by)) };
            text.push_str(&format!("#   {}{by}: {}\n", comment(what), comment(why)));
        }
        text
    }

    /// Edges that were not used up. What is extended gives them, and nothing that extends it takes them away.
    fn narrower(&self) -> String {
        let mut text = String::new();
        for UsedEdge { name, lists, forgot, .. } in self.edges.iter().filter(|edge| !edge.all) {
            let name = comment(name);
            if lists.is_empty() {
                text.push_str(&format!("#   [call.{name}]  # nothing was called\n"));
                continue;
            }
            text.push_str(&format!("#   [call.{name}]\n"));
            for (key, names) in lists {
                let more = names.len().saturating_sub(LISTED);
                let names = names.iter().take(LISTED).map(|name| quoted(name));
                let names = comment_of(&names.collect::<Vec<String>>().join(", "));
                let more = match (more, *forgot && key == "tools") {
                    (_, true) => format!("  # and {more} more at least: not all were remembered"),
                    (0, false) => String::new(),
                    (more, false) => format!("  # and {more} more"),
                };
                text.push_str(&format!("#   {key} = [{names}]{more}\n"));
            }
        }
        if text.is_empty() {
            return text;
        }
        let file = comment(self.extends);
        format!(
            "\n# Less was called than {file} lets be called. Where this is all that is needed, write it there, because\n# here it would only be added:\n{text}"
        )
    }

    fn list(&self, list: List) -> String {
        let mut lines = String::new();
        for ((_, path), what) in self.grants.iter().filter(|((of, _), _)| *of == list) {
            // Only what is plain text is among them.
            lines.push_str(&format!(
                "    {},  # {}\n",
                quoted(&path.to_string_lossy()),
                whom(what)
            ));
        }
        if lines.is_empty() { lines } else { format!("{} = [\n{lines}]\n", list.key()) }
    }
}

fn whom(what: &For) -> String {
    let named: Vec<String> = what.by.iter().take(NAMED).map(|by| comment(by)).collect();
    let mut text = named.join(", ");
    if what.by.len() > NAMED {
        text.push_str(" and others");
    }
    if what.names > 1 && write!(text, "; {} names", what.names).is_err() {
        return text;
    }
    text
}

/// Of a comment nothing gets out.
fn comment(text: &str) -> String {
    comment_of(text).chars().take(300).collect()
}

fn comment_of(text: &str) -> String {
    printable(text).chars().filter(|letter| !letter.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_of_the_commands_is_a_line() {
        let evil = "x\n[files]\nwrite = [\"/\"]\n\u{1b}]0;a\u{7}\u{7f}\"'\\";
        assert!(!is_plain(evil) && is_plain("/srv/a b/ü"));
        let by = std::iter::once(evil.to_owned()).collect();
        let grants = Grants::from([((List::Read, "/srv/a \"b\"".into()), For { by, names: 2 })]);
        let left = LeftOut { what: evil.into(), by: evil.into(), why: "so".into() };
        let learnt = Learnt {
            name: Some(evil),
            extends: "builtin:base",
            exec: &[evil.to_owned()],
            cwd: None,
            egress: &[],
            grants: &grants,
            calls: &[("shmget".into(), evil.into())],
            edges: &[UsedEdge {
                name: evil.into(),
                all: false,
                forgot: true,
                lists: BTreeMap::from([("tools".into(), vec![evil.into()])]),
            }],
            left_out: &[left],
        };
        let text = learnt.text();
        let table: toml::Table = toml::from_str(&text).unwrap();
        let files = table.get("files").and_then(toml::Value::as_table).unwrap();
        assert_eq!(files.len(), 1, "{text}");
        assert_eq!(files.get("read").unwrap().as_array().unwrap().len(), 1);
        assert!(text.lines().all(|line| !line.starts_with("write")), "{text}");
        assert!(text.contains("  # and 0 more at least: not all were remembered"), "{text}");
        assert!(!text.contains('\u{1b}') && !text.contains('\u{7f}'), "{text}");
    }
}
