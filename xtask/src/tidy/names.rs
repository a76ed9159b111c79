//! A file or folder is named after what it holds.

use super::Finding;
use std::collections::BTreeSet;

/// Names that say nothing.
const BANNED: &[&str] =
    &["util", "utils", "helper", "helpers", "common", "manager", "handler", "handlers", "misc"];

pub(super) fn check(files: &[String], found: &mut Vec<Finding>) {
    let mut seen = BTreeSet::new();
    for file in files {
        let mut path = String::new();
        for part in file.split('/') {
            path.push_str(part);
            if let Some(word) = banned(part)
                && seen.insert(path.clone())
            {
                found.push(Finding::new(
                    "names",
                    path.clone(),
                    format!("{word:?} says nothing: name it after what it holds"),
                ));
            }
            path.push('/');
        }
    }
}

fn banned(part: &str) -> Option<&'static str> {
    let mut words = part.split(|letter: char| !letter.is_alphanumeric());
    words.find_map(|word| BANNED.iter().find(|banned| word.eq_ignore_ascii_case(banned)).copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_reported_once_and_whole_words_only() {
        let files = ["src/util/a.rs", "src/util/b.rs", "src/utility.rs", "src/path_helper.rs"];
        let mut found = Vec::new();
        check(&files.map(str::to_owned), &mut found);
        let subjects: Vec<_> = found.into_iter().map(|finding| finding.subject).collect();
        assert_eq!(subjects, ["src/util", "src/path_helper.rs"]);
    }
}
