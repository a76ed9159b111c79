//! An answer for people.

use super::advice::{Addition, Advice};
use crate::explain::{self, printable};
use sandboxd_profiles::why::{Answer, Line};

pub(super) fn words(answer: &Answer, advice: Option<&Advice>) -> String {
    let verdict = if answer.allowed { "allowed" } else { "refused" };
    let error =
        answer.errno.map_or_else(String::new, |errno| format!(": {}", explain::errno(errno)));
    let mut text = format!("{verdict}: {}{error}\n", printable(&answer.question));
    for judged in &answer.layers {
        let word = if judged.allows { "allows" } else { "refuses" };
        text.push_str(&format!("  {word:<8}{:<19}{}\n", judged.layer, printable(&judged.what)));
        for line in &judged.lines {
            text.push_str(&format!("{:29}{}\n", "", place(line)));
        }
    }
    for note in &answer.notes {
        text.push_str(&format!("  note    {}\n", printable(note)));
    }
    if let Some(advice) = advice {
        text.push_str(&advised(advice));
    }
    text
}

pub(super) fn advised(advice: &Advice) -> String {
    let mut text = String::new();
    match advice {
        Advice::Add { toml, to, once, beware } => {
            text.push_str(&added(toml, to));
            if !beware.is_empty() {
                text.push_str(&format!("          beware: {beware}\n"));
            }
            if let Some(once) = once {
                text.push_str(&format!("          or, for one run: {}\n", printable(once)));
            }
        }
        Advice::AddEach(additions) => {
            for Addition { toml, to } in additions {
                text.push_str(&added(toml, std::slice::from_ref(to)));
            }
        }
        Advice::Remove(lines) => {
            for line in lines {
                text.push_str(&format!("  remove  {}\n", place(line)));
            }
        }
        Advice::Nothing(reasons) => {
            text.push_str("  no profile line grants it:\n");
            for reason in reasons {
                text.push_str(&format!("          {}\n", printable(reason)));
            }
        }
    }
    text
}

fn added(toml: &str, to: &[String]) -> String {
    let lines = toml.lines().map(|line| format!("            {}\n", printable(line)));
    format!("  add     {}\n{}", into(to), lines.collect::<String>())
}

fn into(files: &[String]) -> String {
    let names = files.iter().map(|file| {
        if file.starts_with("builtin:") {
            format!("to a profile of yours with extends = [{file:?}]")
        } else {
            format!("to {}", printable(file))
        }
    });
    names.collect::<Vec<_>>().join(", and ")
}

fn place(Line { file, line, key }: &Line) -> String {
    let line = line.map_or_else(String::new, |line| format!(":{line}"));
    let key = if key.is_empty() { String::new() } else { format!("  {key}") };
    printable(&format!("{file}{line}{key}"))
}
