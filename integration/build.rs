//! Makes the list of cases from the files of `cases/`, so that adding a case is adding a file.
//!
//! `SANDBOXD_CASES="word word"` in the environment leaves out all whose name holds none of the
//! words: for working on a case beside another that does not compile yet.
#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs, io};

/// Names the cases that are wanted.
const WORDS: &str = "SANDBOXD_CASES";

fn main() -> io::Result<()> {
    let home = env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?;
    let folder = Path::new(&home).join("cases");
    println!("cargo:rerun-if-changed={}", folder.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder)? {
        let name = entry?.file_name().into_string().map_err(|_| io::Error::other("a name"))?;
        names.extend(name.strip_suffix(".rs").map(str::to_owned));
    }
    println!("cargo:rerun-if-env-changed={WORDS}");
    if let Ok(words) = env::var(WORDS) {
        println!("cargo:warning=only the cases named like {words:?} are built");
        names.retain(|name: &String| words.split_whitespace().any(|word| name.contains(word)));
    }
    names.sort();
    let (mut modules, mut list) = (String::new(), String::new());
    for name in &names {
        let path = folder.join(format!("{name}.rs"));
        let promise = promise(&fs::read_to_string(&path)?)
            .ok_or_else(|| io::Error::other(format!("{name}.rs: its first line is no `//! …`")))?;
        writeln!(modules, "#[path = {path:?}]\nmod {name};").map_err(io::Error::other)?;
        writeln!(
            list,
            "    Named {{ name: {name:?}, promise: {promise:?}, case: &{name}::CASE }},"
        )
        .map_err(io::Error::other)?;
    }
    let out = env::var("OUT_DIR").map_err(io::Error::other)?;
    let text = format!("{modules}\nstatic CASES: &[Named] = &[\n{list}];\n");
    fs::write(Path::new(&out).join("cases.rs"), text)
}

/// The first paragraph of a file's documentation.
fn promise(text: &str) -> Option<String> {
    let lines: Vec<_> = text
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .map(str::trim)
        .take_while(|line| !line.is_empty())
        .collect();
    (!lines.is_empty()).then(|| lines.join(" "))
}
