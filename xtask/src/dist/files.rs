//! What is shipped, and where it lies below `/`.

use super::Release;
use crate::process;
use anyhow::{Context as _, Result};
use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

/// A file to be shipped.
struct File {
    /// Where it comes from, relative to the root of the tree or absolute.
    from: String,
    /// Where it goes, relative to `/`.
    to: String,
    mode: u32,
    /// As Debian wants man pages and changelogs.
    zipped: bool,
}

/// Everything that is shipped.
pub(super) struct Files(Vec<File>);

impl Files {
    pub(super) fn of(release: &Release<'_>) -> Result<Self> {
        let tree = release.tree;
        let program = tree.released("sandboxd").display().to_string();
        let mut files =
            vec![File { from: program, to: "usr/bin/sandboxd".into(), mode: 0o755, zipped: false }];
        for name in tree.files()? {
            if let Some((to, zipped)) = place(&name) {
                files.push(File { from: name, to, mode: 0o644, zipped });
            }
        }
        Ok(Self(files))
    }

    /// Lays them out below a folder.
    pub(super) fn lay_out(&self, release: &Release<'_>, below: &Path, zip: bool) -> Result<()> {
        for file in &self.0 {
            let to = below.join(&file.to);
            if let Some(folder) = to.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::copy(release.tree.root.join(&file.from), &to)
                .with_context(|| format!("cannot copy {}", file.from))?;
            fs::set_permissions(&to, fs::Permissions::from_mode(file.mode))?;
            if file.zipped && zip {
                process::run(Command::new("gzip").args(["-9", "-n"]).arg(&to))?;
            }
        }
        Ok(())
    }
}

/// Where a file of the tree goes, and whether it is packed there; nothing for what is not shipped.
fn place(name: &str) -> Option<(String, bool)> {
    let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
    let placed = |folder: &str, file: &str, zipped| Some((format!("{folder}/{file}"), zipped));
    if file.starts_with('.') {
        return None;
    }
    match (folder, file) {
        ("docs/man", _) => placed("usr/share/man/man1", file, true),
        ("docs/completions", "_sandboxd") => {
            placed("usr/share/zsh/vendor-completions", file, false)
        }
        ("docs/completions", "sandboxd.bash") => {
            placed("usr/share/bash-completion/completions", "sandboxd", false)
        }
        ("docs/completions", "sandboxd.fish") => {
            placed("usr/share/fish/vendor_completions.d", file, false)
        }
        ("profiles/builtin", _) => placed("usr/share/sandboxd/profiles", file, false),
        ("packaging/apparmor", _) => placed("usr/share/sandboxd/apparmor", file, false),
        ("packaging/systemd", _) => placed("usr/lib/systemd/system", file, false),
        ("packaging/sysusers.d", _) => placed("usr/lib/sysusers.d", file, false),
        ("packaging/tmpfiles.d", _) => placed("usr/lib/tmpfiles.d", file, false),
        ("", "CHANGELOG.md") => placed("usr/share/doc/sandboxd", "changelog", true),
        (
            "",
            "README.md" | "SECURITY.md" | "ARCHITECTURE.md" | "LICENSE-APACHE" | "LICENSE-MIT",
        ) => placed("usr/share/doc/sandboxd", file, false),
        _ if folder.starts_with("docs/book") || folder.starts_with("examples") => placed(
            &format!("usr/share/doc/sandboxd/{}", folder.trim_start_matches("docs/")),
            file,
            false,
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shipped_lies_where_a_system_looks_for_it() {
        let to = |name| place(name).map(|(to, _)| to);
        assert_eq!(to("docs/man/sandboxd.1").unwrap(), "usr/share/man/man1/sandboxd.1");
        assert_eq!(
            to("docs/completions/sandboxd.bash").unwrap(),
            "usr/share/bash-completion/completions/sandboxd"
        );
        assert_eq!(
            to("profiles/builtin/base.toml").unwrap(),
            "usr/share/sandboxd/profiles/base.toml"
        );
        assert_eq!(
            to("examples/first-agent/agent.toml").unwrap(),
            "usr/share/doc/sandboxd/examples/first-agent/agent.toml"
        );
        assert_eq!(to("profiles/builtin/syscalls/default.toml"), None);
        assert_eq!(to("Cargo.toml"), None);
    }
}
