//! What the runner is asked for.

use crate::who::Player;
use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::PathBuf;

pub(crate) const USAGE: &str = "sandboxd-integration [OPTIONS] [WORDS]

Runs every case whose name, or one of whose rows, holds one of WORDS; all of them without any. Root runs
those that hold for everybody's sandboxes twice, the second time as an ordinary user; whoever is not root
runs what can be run without it.

  --list         print the cases, what they promise and which rows they answer
  --list-json    print which case is run as whom, one JSON object a line
  --these FILE   of those, only the ones in FILE, which has lines of --list-json
  --jobs N       run N cases at once (default 2)
  --as WHO       run them only as root, or only as a user
  --soak N       try everything there is to try, and what is drawn N times as often
  --require-all  a case that this host cannot run is a failure
  --results FILE also write what came of each case to FILE, one JSON object a line
  --slower N     this machine takes up to N times as long as usual: wait so much longer";

/// A case, and who plays it; nobody where that would take root.
#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) case: String,
    pub(crate) by: Option<Player>,
}

pub(crate) struct Options {
    pub(crate) words: Vec<String>,
    pub(crate) list: bool,
    pub(crate) list_json: bool,
    /// Only these; all that are asked for where it is not given.
    pub(crate) these: Option<Vec<Part>>,
    pub(crate) require_all: bool,
    pub(crate) jobs: usize,
    pub(crate) results: Option<PathBuf>,
    pub(crate) slower: u32,
    pub(crate) only: Option<Player>,
    pub(crate) soak: Option<u32>,
}

pub(crate) fn options(given: &[&str]) -> Result<Option<Options>> {
    let mut options = Options {
        words: Vec::new(),
        list: false,
        list_json: false,
        these: None,
        require_all: false,
        jobs: 2,
        results: None,
        slower: 1,
        only: None,
        soak: None,
    };
    let mut given = given.iter();
    while let Some(&word) = given.next() {
        match word {
            "--help" | "-h" => return Ok(None),
            "--list" => options.list = true,
            "--list-json" => options.list_json = true,
            "--these" => options.these = Some(these(given.next().context("--these FILE")?)?),
            "--require-all" => options.require_all = true,
            "--jobs" | "-j" => {
                let number = given.next().context("--jobs N")?;
                options.jobs = number.parse().context("--jobs N")?;
            }
            "--results" => {
                options.results = Some(given.next().context("--results FILE")?.into());
            }
            "--as" => {
                options.only = Some(match given.next() {
                    Some(&"root") => Player::Root,
                    Some(&"user") => Player::User,
                    _ => bail!("--as root or --as user"),
                });
            }
            "--slower" => {
                let factor = given.next().context("--slower N")?;
                options.slower = factor.parse().context("--slower N")?;
            }
            "--soak" => {
                let number = given.next().context("--soak N")?;
                options.soak = Some(number.parse().context("--soak N")?);
            }
            option if option.starts_with('-') => bail!("unknown option {option}\n\n{USAGE}"),
            word => options.words.push(word.to_owned()),
        }
    }
    ensure!(options.jobs > 0, "--jobs must be 1 or more");
    ensure!(options.slower > 0, "--slower must be 1 or more");
    Ok(Some(options))
}

/// The lines of a file, as `--list-json` prints them.
fn these(path: &str) -> Result<Vec<Part>> {
    let text = fs::read_to_string(path).context(path.to_owned())?;
    text.lines().map(|line| serde_json::from_str(line).context(path.to_owned())).collect()
}
