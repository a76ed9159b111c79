//! `sandboxd` as systemd starts it: in a transient unit, outside the case's own mount namespace, with
//! settings and leases of the case's own shown to it.

use crate::{Outside, sandbox};
use anyhow::{Context as _, Result, ensure};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// A transient service to be started.
#[derive(Debug)]
#[must_use]
pub struct Service {
    folder: PathBuf,
    words: Vec<String>,
}

impl Service {
    /// A service of this case. Each has a folder of its own, [`Self::folder`].
    ///
    /// # Errors
    /// Where its folder cannot be made.
    pub fn new(outside: &Outside) -> Result<Self> {
        let folder = outside.next_run()?;
        let (first, count) = outside.uids();
        for name in ["etc", "run"] {
            fs::create_dir(folder.join(name))?;
            fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o700))?;
        }
        let settings = format!("[uids]\nfirst = {first}\ncount = {count}\n");
        fs::write(folder.join("etc/config.toml"), settings)?;
        let words = ["systemd-run", "--quiet", "--wait", "--pipe", "--collect"].map(str::to_owned);
        let service = Self { words: words.to_vec(), folder };
        let own = service.folder.display().to_string();
        Ok(service
            .property(&format!("BindPaths={own}/etc:/etc/sandboxd"))
            .property(&format!("BindPaths={own}/run:/run/sandboxd")))
    }

    /// A property of the unit, `NAME=value`.
    pub fn property(mut self, property: &str) -> Self {
        self.words.extend(["--property".to_owned(), property.to_owned()]);
        self
    }

    /// An option of systemd-run(1).
    pub fn option(mut self, option: &str) -> Self {
        self.words.push(option.to_owned());
        self
    }

    /// Where its files go.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs `sandboxd` as the main process, to its end.
    ///
    /// # Errors
    /// Where systemd-run cannot be executed.
    pub fn run(self, words: &[&str]) -> Result<Output> {
        Ok(self.start(words)?.wait_with_output()?)
    }

    /// Starts `sandboxd` as the main process.
    ///
    /// # Errors
    /// Where systemd-run cannot be executed.
    pub fn start(self, words: &[&str]) -> Result<Child> {
        let product = product()?;
        self.execute(&[&[product.as_str()], words].concat())
    }

    /// Runs a script of sh(1) as the main process, to its end; `$SANDBOXD` is the product.
    ///
    /// # Errors
    /// Where systemd-run cannot be executed.
    pub fn script(self, script: &str) -> Result<Output> {
        let product = format!("SANDBOXD={}", product()?);
        // A file, because systemd would put its own meaning into a `$` of the command line.
        let path = self.folder.join("script");
        fs::write(&path, script)?;
        let path = path.to_str().context("the script's path")?.to_owned();
        let child = self.option("--setenv").option(&product).execute(&["/bin/sh", &path])?;
        Ok(child.wait_with_output()?)
    }

    fn execute(self, command: &[&str]) -> Result<Child> {
        let (program, words) = self.words.split_first().context("no program")?;
        Command::new(program)
            .args(words)
            .arg("--")
            .args(command)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("systemd-run")
    }
}

fn product() -> Result<String> {
    let product = sandbox::product()?;
    let text = product.to_str().context("the product's path")?;
    ensure!(!text.contains(['%', '$']), "systemd would read {text} otherwise");
    Ok(text.to_owned())
}
