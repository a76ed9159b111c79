//! Debian's archive, read with a configuration of its own: this machine's lists and packages stay as
//! they are, and only its mirrors are taken over.

use super::tools::KEYS;
use crate::process;
use anyhow::{Context as _, Result, ensure};
use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Names the mirror where apt has none: on a machine that is not Debian.
const MIRROR: &str = "SANDBOXD_VM_MIRROR";

/// Where this machine's apt fetches Debian's packages from.
pub(super) fn mirror(suite: &str) -> Result<String> {
    if let Some(mirror) = env::var_os(MIRROR) {
        return mirror.into_string().ok().with_context(|| format!("{MIRROR} is not text"));
    }
    let label = if suite.ends_with("-security") { "Debian-Security" } else { "Debian" };
    let told = process::output(Command::new("apt-get").args([
        "indextargets",
        "--format",
        "$(ORIGIN)|$(LABEL)|$(REPO_URI)",
    ]))?;
    let found = told.lines().find_map(|line| line.strip_prefix(&format!("Debian|{label}|")));
    found.map(|uri| uri.trim_end_matches('/').to_owned()).with_context(|| {
        format!(
            "apt knows no mirror of {label}: run `apt-get update`, \
             or name a mirror in {MIRROR} where this is another distribution"
        )
    })
}

/// One suite of the archive.
pub(super) struct Suite {
    name: String,
    folder: PathBuf,
}

impl Suite {
    /// Fetches the list of its packages.
    pub(super) fn open(name: &str, folder: &Path) -> Result<Self> {
        let text = |path: &Path| format!("{:?}", path.display().to_string());
        for below in ["lists/partial", "cache/archives/partial", "parts"] {
            fs::create_dir_all(folder.join(below))?;
        }
        let sources = format!("deb [signed-by={}] {} {name} main\n", KEYS.0, mirror(name)?);
        fs::write(folder.join("sources.list"), sources)?;
        fs::write(folder.join("status"), "")?;
        let settings = [
            ("Dir::Etc::sourcelist", text(&folder.join("sources.list"))),
            ("Dir::Etc::sourceparts", text(&folder.join("parts"))),
            ("Dir::Etc::preferencesparts", text(&folder.join("parts"))),
            ("Dir::State::lists", text(&folder.join("lists"))),
            ("Dir::State::status", text(&folder.join("status"))),
            ("Dir::Cache", text(&folder.join("cache"))),
            ("Acquire::Languages", "\"none\"".into()),
            ("Acquire::Retries", "\"3\"".into()),
            ("APT::Architecture", "\"amd64\"".into()),
            ("APT::Sandbox::User", "\"root\"".into()),
            ("Debug::NoLocking", "\"true\"".into()),
        ];
        let settings: String =
            settings.iter().map(|(key, value)| format!("{key} {value};\n")).collect();
        fs::write(folder.join("apt.conf"), settings)?;
        let suite = Self { name: name.to_owned(), folder: folder.to_owned() };
        // Without this, apt takes a list that could not be fetched for a warning.
        suite
            .apt("apt-get", &["update", "-qq", "--error-on=any"], folder)
            .with_context(|| format!("Debian's {name} could not be read; is there a network?"))?;
        Ok(suite)
    }

    /// Puts a kernel's packages into a folder: the one named and those it consists of.
    pub(super) fn download(&self, package: &str, into: &Path) -> Result<()> {
        let mut wanted = BTreeSet::new();
        let mut next = vec![self.newest(package)?];
        while let Some(name) = next.pop() {
            if wanted.insert(name.clone()) {
                next.extend(self.parts(&name)?);
            }
        }
        // A package without a version in its name only names the newest.
        wanted.retain(|name| name.contains('.'));
        ensure!(!wanted.is_empty(), "{package} of {} names no kernel", self.name);
        let mut words = vec!["download", "-qq"];
        words.extend(wanted.iter().map(String::as_str));
        self.apt("apt-get", &words, into)?;
        Ok(())
    }

    /// The newest package whose name the pattern fits.
    fn newest(&self, pattern: &str) -> Result<String> {
        let Some((before, after)) = pattern.split_once('*') else { return Ok(pattern.to_owned()) };
        let names = self.apt("apt-cache", &["pkgnames", before], &self.folder)?;
        let mut names: Vec<&str> = names.lines().filter(|name| name.ends_with(after)).collect();
        names.sort_by_key(|name| numbers(name));
        let newest = names.last().with_context(|| {
            format!("{} has no {pattern} any more: change xtask/vm/kernels.toml", self.name)
        })?;
        Ok((*newest).to_owned())
    }

    /// The packages of a kernel that another one depends on.
    fn parts(&self, package: &str) -> Result<Vec<String>> {
        let told = self.apt("apt-cache", &["depends", package], &self.folder)?;
        Ok(told
            .lines()
            .filter_map(|line| line.split_once("Depends: "))
            .map(|(_, name)| name.trim().to_owned())
            .filter(|name| is_part(name))
            .collect())
    }

    fn apt(&self, program: &str, words: &[&str], folder: &Path) -> Result<String> {
        process::output(
            Command::new(program)
                .args(words)
                .env("APT_CONFIG", self.folder.join("apt.conf"))
                .env("LC_ALL", "C")
                .current_dir(folder)
                .stdin(Stdio::null()),
        )
    }
}

/// Whether a package is a kernel or a part of one, by its name.
fn is_part(name: &str) -> bool {
    let version = ["image", "binary", "modules", "base"]
        .iter()
        .find_map(|part| name.strip_prefix("linux-")?.strip_prefix(part)?.strip_prefix('-'));
    version.is_some_and(|version| version.starts_with(|letter: char| letter.is_ascii_digit()))
}

/// The numbers in a name, by which versions are put in order.
fn numbers(name: &str) -> Vec<u64> {
    name.split(|letter: char| !letter.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_and_its_parts_are_told_from_what_else_it_depends_on() {
        for name in ["linux-image-6.1.0-50-cloud-amd64", "linux-modules-7.3.4+deb13-cloud-amd64"] {
            assert!(is_part(name), "{name}");
        }
        for name in ["linux-image-cloud-amd64", "linux-base", "kmod", "linux-images-6"] {
            assert!(!is_part(name), "{name}");
        }
    }

    #[test]
    fn a_later_version_is_newer_however_it_sorts_as_text() {
        let newer = numbers("linux-image-6.18.15+deb13-cloud-amd64");
        assert!(newer > numbers("linux-image-6.18.5+deb13-cloud-amd64"));
    }
}
