//! Pins of tools that outlive their server: a tool is what it was when it was first seen, or accepted by a
//! person since, in every run of the same server; one whose definition changed is not there until somebody
//! accepts it.
//!
//! A file for each server: its profile's name, and what it executes. So the same profile with another command
//! is another server, and a command that is not written anew is the same one, whatever it has become.

use super::Held;
use crate::sandbox::StartError;
use sandboxd_audit::chain::digest;
use sandboxd_audit::encode::hex;
use sandboxd_broker_plan::seen::{Seen, ToolName};
use sandboxd_broker_plan::words::{self, Words};
use sandboxd_broker_plan::{BrokerPlan, Pin, Pinning};
use sandboxd_plan::Text;
use sandboxd_profiles::Profile;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The folder.
pub(super) const FOLDER: &str = "pins";
/// The version of its files.
const VERSION: u32 = 1;
/// How many tools are kept of a server.
const MOST: usize = 512;
/// The most bytes of what all of them say: with each letter escaped, and all digests, they fit into a file.
const MOST_WORDS: usize = 256 << 10;

/// A tool that is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pinned {
    /// The digest of the definition that was accepted.
    pub(crate) accepted: String,
    /// That definition in the broker's words; nothing where it is more than is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) says: Option<String>,
    /// The digest of another that was seen since; nothing where none was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) offered: Option<String>,
    /// That one in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) offers: Option<String>,
}

impl Pinned {
    fn new(digest: String) -> Self {
        Self { accepted: digest, says: None, offered: None, offers: None }
    }

    /// The one that was seen last: its digest, and its words.
    fn latest(&mut self) -> (&String, &mut Option<String>) {
        match &self.offered {
            Some(offered) => (offered, &mut self.offers),
            None => (&self.accepted, &mut self.says),
        }
    }

    fn words(&self) -> usize {
        [&self.says, &self.offers].into_iter().flatten().map(String::len).sum()
    }
}

/// What is known of a server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Server {
    /// What it executes, for people.
    pub(crate) program: String,
    pub(crate) tools: BTreeMap<String, Pinned>,
}

/// A file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    version: u32,
    server: Server,
    /// Over version and server, so that one of which a part is missing is told from a whole one.
    sha256: String,
}

/// The servers of a plan, and what is to be kept of them.
#[derive(Debug)]
pub(crate) struct Pins {
    /// By their places in the plan.
    servers: Vec<(String, Server)>,
    /// The tools of each of which something new is known.
    changed: BTreeMap<usize, BTreeSet<String>>,
    /// The tool of which the broker tells what it says, and that as far as it is told.
    told: Option<(usize, String, String)>,
}

/// All servers of which something is kept, which nobody else changes meanwhile.
#[derive(Debug)]
pub(crate) struct Servers {
    held: Held,
}

impl Pins {
    /// Lays over a plan what is known of those that it calls. `serving` gives the profile of each.
    ///
    /// # Errors
    /// Where that cannot be read, or is not whole.
    pub(crate) fn lay<'p>(
        plan: &mut BrokerPlan,
        serving: impl Fn(&str) -> Option<&'p Profile>,
    ) -> Result<Self, StartError> {
        let all = Servers::open()?;
        let mut servers = Vec::new();
        for callee in &mut plan.callees {
            let name = callee.name.as_str();
            let words = serving(name).map(words).unwrap_or_default();
            let key = key(name, words);
            let program = words.first().map(lossy).unwrap_or_default();
            let server = all.get(&key)?.unwrap_or_else(|| Server { program, ..Server::default() });
            let pins = server.tools.iter();
            callee.pinning = Pinning::FirstUse(
                pins.map(|(tool, it)| Pin { tool: tool.clone(), digest: it.accepted.clone() })
                    .collect(),
            );
            servers.push((key, server));
        }
        Ok(Self { servers, changed: BTreeMap::new(), told: None })
    }

    /// Takes in what the broker tells.
    ///
    /// # Errors
    /// Where that cannot be.
    pub(crate) fn seen(&mut self, seen: &Seen) -> Result<(), String> {
        let place = usize::try_from(seen.callee).unwrap_or(usize::MAX);
        let Some((_, server)) = self.servers.get_mut(place) else {
            return Err(format!("reported callee {}, which does not exist", seen.callee));
        };
        let digest = hex(&seen.digest);
        let full = server.tools.len() >= MOST;
        match server.tools.get_mut(seen.tool.as_str()) {
            Some(_) if !seen.changed => {
                return Err(String::from("pinned a tool that is pinned already"));
            }
            None if seen.changed || full => {
                return Err(String::from("reported an invalid pin"));
            }
            Some(known) if known.offered.as_ref() == Some(&digest) => {
                // It is written down already; what it says follows, and is the same.
                self.told = Some((place, seen.tool.to_string(), String::new()));
                return Ok(());
            }
            Some(known) => (known.offered, known.offers) = (Some(digest), None),
            None => drop(server.tools.insert(seen.tool.to_string(), Pinned::new(digest))),
        }
        self.changed.entry(place).or_default().insert(seen.tool.to_string());
        self.told = Some((place, seen.tool.to_string(), String::new()));
        Ok(())
    }

    /// Takes in what the tool says that was told last.
    ///
    /// # Errors
    /// Where that cannot be.
    pub(crate) fn says(&mut self, words: &Words) -> Result<(), String> {
        let Some((place, tool, mut text)) = self.told.take() else {
            return Err(String::from("reported words of no tool"));
        };
        text.push_str(&words.text);
        if text.len() > words::MOST {
            return Err(String::from("reported more of a tool than is kept"));
        }
        if words.more {
            self.told = Some((place, tool, text));
            return Ok(());
        }
        let server = self.servers.get_mut(place).map(|(_, server)| server);
        let known = server.and_then(|server| server.tools.get_mut(&tool));
        let said = known.map(|known| known.latest().1);
        if let Some(said) = said.filter(|said| said.as_ref() != Some(&text)) {
            *said = Some(text);
            self.changed.entry(place).or_default().insert(tool);
        }
        Ok(())
    }

    /// Writes down what is new, beside what others have written meanwhile. What cannot be written stays new.
    ///
    /// # Errors
    /// Where something cannot be written.
    pub(crate) fn save(&mut self) -> Result<(), StartError> {
        if self.changed.is_empty() {
            return Ok(());
        }
        self.save_in(&Servers::open()?)
    }

    fn save_in(&mut self, all: &Servers) -> Result<(), StartError> {
        let mut failed = None;
        let servers = &self.servers;
        self.changed.retain(|place, tools| {
            let server = servers.get(*place);
            let saved = server.map_or(Ok(()), |(key, ours)| all.add(key, ours, tools));
            let kept = saved.is_ok();
            failed = failed.take().or(saved.err());
            !kept
        });
        failed.map_or(Ok(()), Err)
    }
}

/// What was accepted first stays accepted; another that a run saw is offered.
fn merge(tools: &mut BTreeMap<String, Pinned>, tool: &str, our: &Pinned) {
    let room = tools.len() < MOST;
    let others = tools.iter().filter(|(name, _)| *name != tool).map(|(_, pinned)| pinned.words());
    let left = MOST_WORDS.saturating_sub(others.sum());
    match tools.get_mut(tool) {
        None if room => drop(tools.insert(tool.to_owned(), our.clone())),
        None => {}
        Some(known) => {
            let mut our = our.clone();
            let (latest, words) = our.latest();
            if *latest != known.accepted && known.offered.as_ref() != Some(latest) {
                (known.offered, known.offers) = (Some(latest.clone()), None);
            }
            let same = known.latest();
            if same.0 == latest && same.1.is_none() {
                *same.1 = words.take();
            } else if *latest == known.accepted && known.says.is_none() {
                known.says = words.take();
            }
        }
    }
    if let Some(known) = tools.get_mut(tool).filter(|known| known.words() > left) {
        (known.says, known.offers) = (None, None);
    }
}

impl Servers {
    /// All of them.
    ///
    /// # Errors
    /// Where there is no folder for them that is the user's alone.
    pub(crate) fn open() -> Result<Self, StartError> {
        Held::open(FOLDER).map(|held| Self { held })
    }

    /// By which names they are kept.
    ///
    /// # Errors
    /// Where the folder cannot be read.
    pub(crate) fn names(&self) -> Result<Vec<String>, StartError> {
        self.held.names()
    }

    /// What is known of one; nothing where that is nothing.
    ///
    /// # Errors
    /// Where it cannot be read, or is not whole.
    pub(crate) fn get(&self, name: &str) -> Result<Option<Server>, StartError> {
        let Some(bytes) = self.held.read(name)? else { return Ok(None) };
        let damaged = |what: String| {
            StartError::found("pins", format!("{}: {what}", self.held.path(name))).with_remedy(
                "it is damaged or was changed, and the pins of this server's tools are lost: find out why, then start over with sandboxd pins forget and the name of this file",
            )
        };
        let written: Written =
            serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if written.version != VERSION {
            return Err(damaged(format!("its version is {}", written.version)));
        }
        if check(&written.server)? != written.sha256 {
            return Err(damaged(String::from("it is not what was written")));
        }
        if written.server.tools.keys().any(|tool| ToolName::try_from(tool.as_str()).is_err()) {
            return Err(damaged(String::from("the name of a tool is invalid")));
        }
        Ok(Some(written.server))
    }

    /// Keeps it.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(crate) fn put(&self, name: &str, server: Server) -> Result<(), StartError> {
        let sha256 = check(&server)?;
        let text = serde_json::to_string_pretty(&Written { version: VERSION, server, sha256 })
            .map_err(|error| StartError::found("encode", error.to_string()))?;
        self.held.replace(name, format!("{text}\n").as_bytes())
    }

    /// Keeps what is new of some tools, and leaves the others as they are now.
    fn add(&self, name: &str, ours: &Server, new: &BTreeSet<String>) -> Result<(), StartError> {
        let program = ours.program.clone();
        let mut server = self.get(name)?.unwrap_or_else(|| Server { program, ..Server::default() });
        for (tool, our) in ours.tools.iter().filter(|(tool, _)| new.contains(*tool)) {
            merge(&mut server.tools, tool, our);
        }
        self.put(name, server)
    }

    /// Forgets it.
    ///
    /// # Errors
    /// Where it is not there, or cannot be removed.
    pub(crate) fn forget(&self, name: &str) -> Result<(), StartError> {
        self.held.remove(name)
    }
}

fn check(server: &Server) -> Result<String, StartError> {
    let text = serde_json::to_vec(&(VERSION, server))
        .map_err(|error| StartError::found("encode", error.to_string()))?;
    Ok(digest(&text))
}

/// By which name a server of this profile is kept.
pub(crate) fn server_key(profile: &Profile) -> String {
    key(profile.name(), words(profile))
}

fn words(profile: &Profile) -> &[Text] {
    profile.command.exec.as_ref().map(|exec| exec.value.as_slice()).unwrap_or_default()
}

/// By which name a server is kept that executes this.
fn key(profile: &str, words: &[Text]) -> String {
    let words: Vec<&[u8]> = words.iter().map(Text::as_bytes).collect();
    let digest = digest(&words.join(&0));
    format!("{profile}-{}", digest.get(..8).unwrap_or_default())
}

fn lossy(text: &Text) -> String {
    String::from_utf8_lossy(text.as_bytes()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pins(tools: &[(&str, &str)]) -> Pins {
        let tools = tools
            .iter()
            .map(|(tool, accepted)| ((*tool).to_owned(), Pinned::new((*accepted).to_owned())));
        let server = Server { program: String::from("server"), tools: tools.collect() };
        Pins {
            servers: vec![(String::from("server-1"), server)],
            changed: BTreeMap::new(),
            told: None,
        }
    }

    fn seen(tool: &str, changed: bool) -> Seen {
        let tool = ToolName::try_from(tool).unwrap();
        Seen { callee: 0, changed, digest: [7; 32], tool }
    }

    #[test]
    fn a_broker_accepts_nothing_anew() {
        let mut pins = pins(&[("old", "aa")]);
        assert!(pins.seen(&seen("old", false)).is_err(), "it is pinned otherwise");
        assert!(pins.seen(&seen("new", true)).is_err(), "it was never pinned");
        assert!(pins.seen(&Seen { callee: 1, ..seen("new", false) }).is_err());
        pins.seen(&seen("new", false)).unwrap();
        pins.seen(&seen("old", true)).unwrap();
        let tools = &pins.servers[0].1.tools;
        assert_eq!(tools["old"].accepted, "aa");
        assert_eq!(tools["old"].offered, Some(hex(&[7; 32])));
        assert_eq!(tools["new"].accepted, hex(&[7; 32]));
        for number in 0..MOST {
            pins.seen(&seen(&format!("tool-{number}"), false)).ok();
        }
        assert_eq!(pins.servers[0].1.tools.len(), MOST);
    }

    #[test]
    fn what_was_accepted_first_stays_accepted() {
        let mut tools = pins(&[("a", "aa")]).servers.remove(0).1.tools;
        let pin = |accepted: &str, offered: Option<&str>| Pinned {
            offered: offered.map(str::to_owned),
            ..Pinned::new(accepted.to_owned())
        };
        for (our, offered) in [
            (pin("bb", None), "bb"),
            (pin("aa", Some("cc")), "cc"),
            // A person has accepted meanwhile what this run saw: what it was before is no news.
            (pin("zz", Some("aa")), "cc"),
        ] {
            merge(&mut tools, "a", &our);
            assert_eq!(tools["a"], pin("aa", Some(offered)));
        }
    }

    fn say(pins: &mut Pins, text: &str) -> Result<(), String> {
        Words::of(text).iter().try_for_each(|words| pins.says(words))
    }

    #[test]
    fn what_a_tool_says_is_kept_with_the_definition_that_says_it() {
        let mut run = pins(&[("old", "aa")]);
        assert!(say(&mut run, "of nobody").is_err());
        run.seen(&seen("new", false)).unwrap();
        say(&mut run, &"reads ".repeat(1000)).unwrap();
        run.seen(&seen("old", true)).unwrap();
        say(&mut run, "writes").unwrap();
        assert!(say(&mut run, "more").is_err());
        let tools = &run.servers[0].1.tools;
        assert_eq!(tools["new"].says.as_ref().map(String::len), Some(6000));
        assert_eq!((&tools["old"].says, &tools["old"].offers), (&None, &Some("writes".into())));
        // One that goes on for ever is not kept.
        run.seen(&seen("other", false)).unwrap();
        let words = Words { more: true, text: "x".repeat(1000) };
        assert!((0..17).any(|_| run.says(&words).is_err()));
        // What was said before it was accepted, and what is said of another since.
        let mut tools = pins(&[("a", "aa")]).servers.remove(0).1.tools;
        let with = |accepted: &str, says: &str| Pinned {
            says: Some(says.to_owned()),
            ..Pinned::new(accepted.to_owned())
        };
        for our in [with("aa", "one"), with("aa", "two"), with("bb", "three"), with("bb", "four")] {
            merge(&mut tools, "a", &our);
        }
        let known = &tools["a"];
        assert_eq!((known.says.as_deref(), known.offers.as_deref()), (Some("one"), Some("three")));
        merge(&mut tools, "a", &with("cc", "five"));
        assert_eq!(tools["a"].offers.as_deref(), Some("five"));
    }

    #[test]
    fn what_all_tools_say_fits_into_a_file() {
        let (path, all) = servers("sandboxd-pins-words");
        let mut run = pins(&[]);
        for number in 0..MOST {
            run.seen(&seen(&format!("{number:0>128}"), false)).unwrap();
            say(&mut run, &"\"".repeat(words::MOST)).unwrap();
        }
        run.save_in(&all).unwrap();
        let tools = all.get("server-1").unwrap().unwrap().tools;
        assert_eq!(tools.len(), MOST);
        assert_eq!(tools.values().filter(|tool| tool.says.is_some()).count(), 16);
        std::fs::remove_dir_all(&path).unwrap();
    }

    fn servers(name: &str) -> (std::path::PathBuf, Servers) {
        use std::os::unix::fs::DirBuilderExt as _;
        let path = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        std::fs::DirBuilder::new().mode(0o700).create(&path).unwrap();
        let folder = crate::lease::RunDir::at(&path, "pins").unwrap();
        (path, Servers { held: Held { folder } })
    }

    #[test]
    fn what_a_person_did_during_a_run_is_not_undone_by_it() {
        let (path, all) = servers("sandboxd-pins-merge");
        let mut run = pins(&[("a", "aa"), ("b", "bb"), ("gone", "gg")]);
        let mut by_hand = run.servers[0].1.clone();
        by_hand.tools.get_mut("a").unwrap().accepted = String::from("accepted");
        by_hand.tools.remove("gone");
        all.put("server-1", by_hand).unwrap();
        run.seen(&seen("b", true)).unwrap();
        run.save_in(&all).unwrap();
        let tools = all.get("server-1").unwrap().unwrap().tools;
        assert_eq!(tools["a"], Pinned::new(String::from("accepted")));
        assert_eq!(tools["b"].offered, Some(hex(&[7; 32])));
        assert!(!tools.contains_key("gone"));
        std::fs::remove_dir_all(&path).unwrap();
    }

    #[test]
    fn what_could_not_be_kept_is_kept_later_and_keeps_nothing_else_from_it() {
        let (path, all) = servers("sandboxd-pins-late");
        let damaged = path.join("pins/server-1");
        std::fs::write(&damaged, "{").unwrap();
        let mut run = pins(&[]);
        run.servers.push((String::from("server-2"), Server::default()));
        run.seen(&seen("one", false)).unwrap();
        run.seen(&Seen { callee: 1, ..seen("two", false) }).unwrap();
        assert!(run.save_in(&all).is_err());
        assert!(all.get("server-2").unwrap().unwrap().tools.contains_key("two"));
        std::fs::remove_file(&damaged).unwrap();
        run.save_in(&all).unwrap();
        assert!(all.get("server-1").unwrap().unwrap().tools.contains_key("one"));
        assert!(run.changed.is_empty());
        std::fs::remove_dir_all(&path).unwrap();
    }

    #[test]
    fn another_command_is_another_server() {
        let words = |words: &[&str]| -> Vec<Text> {
            words.iter().map(|word| Text::try_from(*word).unwrap()).collect()
        };
        let one = key("s", &words(&["node", "a.js"]));
        assert_eq!(one, key("s", &words(&["node", "a.js"])));
        assert_ne!(one, key("s", &words(&["node", "b.js"])));
        assert_ne!(one, key("s", &words(&["node a.js"])));
    }
}
