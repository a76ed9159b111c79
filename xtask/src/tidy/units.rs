//! A unit that runs sandboxd has what such a unit cannot do without, be it a file or a block of a page: without
//! `Delegate=yes` nothing is started, and without `Type=notify` what waits for it goes on before the command runs.

use super::Finding;

const NEEDED: &[&str] = &["Type=notify", "Delegate=yes"];

pub(super) fn check(file: &str, text: &str, found: &mut Vec<Finding>) {
    let units = match file.rsplit_once('.') {
        Some((_, "service")) => vec![text],
        Some((_, "md")) => text.split("\n```").skip(1).step_by(2).collect(),
        _ => Vec::new(),
    };
    for unit in units.into_iter().filter(|unit| runs_sandboxd(unit)) {
        for line in NEEDED.iter().filter(|needed| !unit.lines().any(|line| line == **needed)) {
            found.push(Finding::new("units", file, format!("its [Service] lacks {line}")));
        }
    }
}

fn runs_sandboxd(unit: &str) -> bool {
    let starts = |line: &str| line.starts_with("ExecStart=") && line.contains("sandboxd run");
    unit.lines().any(|line| line == "[Service]") && unit.lines().any(starts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_without_what_it_needs_is_found_wherever_it_stands() {
        let judged = |file: &str, text: &str| -> Vec<String> {
            let mut found = Vec::new();
            check(file, text, &mut found);
            found.into_iter().map(|finding| finding.what).collect()
        };
        let unit = "[Service]\nType=notify\nExecStart=/usr/bin/sandboxd run -p a.toml\n";
        let page = format!("# Page\n\n```sh\nls\n```\n\n```ini\n# a.service\n{unit}```\n\nMore.\n");
        for (file, text) in [("a.service", unit), ("page.md", &page)] {
            assert_eq!(judged(file, text), ["its [Service] lacks Delegate=yes"], "{file}");
            let whole = text.replace("[Service]\n", "[Service]\nDelegate=yes\n");
            assert!(judged(file, &whole).is_empty(), "{file}");
            assert!(judged(file, &text.replace("sandboxd run", "other run")).is_empty());
        }
        assert!(judged("a.rs", unit).is_empty());
    }
}
