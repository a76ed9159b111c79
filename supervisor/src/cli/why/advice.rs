//! What to write where the answer is no. Nothing is told that was not tried: the lines are put at the end of
//! the profile, a plan is made, and the question is asked again.

use super::subject::{Question, Subject};
use crate::cli::load;
use crate::cli::went_out::entry;
use sandboxd_profiles::why::{Access, Answer, Line};
use sandboxd_profiles::{Overrides, Problem, Profile, graph};
use serde::Serialize;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// What stands where somebody has to say why.
const REASON: &str = "say why";

/// What can be done.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Advice {
    /// Write this.
    Add {
        /// TOML to paste.
        toml: String,
        /// Into which profiles.
        to: Vec<String>,
        /// The same on the command line of `run`, for once; nothing where that takes more.
        once: Option<String>,
        /// What else it gives; empty where nothing.
        beware: &'static str,
    },
    /// Write each of these.
    AddEach(Vec<Addition>),
    /// Remove these lines.
    Remove(Vec<Line>),
    /// No line gives it, and why.
    Nothing(Vec<String>),
}

/// Lines for one profile, where others take others.
#[derive(Debug, Serialize)]
pub(super) struct Addition {
    /// TOML to paste.
    pub(super) toml: String,
    /// Into which profile.
    pub(super) to: String,
}

/// What is in the way.
struct Refusal {
    what: String,
    /// Whether that is owner and mode of what is there.
    of_the_mode: bool,
}

/// Lines that may help.
struct Candidate {
    toml: String,
    /// An option of `run` for the same, and its value.
    once: Option<(&'static str, String)>,
    beware: &'static str,
}

impl Candidate {
    fn new(table: &str, lines: &[(&str, String)]) -> Self {
        let lines: Vec<String> =
            lines.iter().map(|(key, value)| format!("{key} = {value}")).collect();
        let toml = format!("[{table}]\n{}", lines.join("\n"));
        Self { toml, once: None, beware: "" }
    }

    fn once(self, option: &'static str, value: String) -> Self {
        Self { once: Some((option, value)), ..self }
    }

    fn beware(self, beware: &'static str) -> Self {
        Self { beware, ..self }
    }
}

/// An entry for this host and port; and the host's network, but where its own loopback is asked for.
fn of_a_host(host: &str, port: u16) -> Vec<Candidate> {
    let named = |entry: String| {
        let named = [("mode", quoted("egress")), ("egress", format!("[{}]", quoted(&entry)))];
        Candidate::new("network", &named).once("--egress", entry)
    };
    if is_loopback(host) {
        let beware = "it is the sandbox's own loopback, which any entry provides; this one alone lets nothing out; \
                      what listens on the host is host.internal";
        return vec![named(String::from("nobody.invalid:443")).beware(beware)];
    }
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let all = [("mode", quoted("host")), ("reason", quoted(REASON))];
    let beware = "the host's network reaches everything that the host reaches";
    vec![named(entry(&host, port)), Candidate::new("network", &all).beware(beware)]
}

fn is_loopback(host: &str) -> bool {
    let is = |address: IpAddr| address.to_canonical().is_loopback();
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(is)
}

impl Subject {
    /// What gives what was refused.
    pub(super) fn advise(&self, question: &Question, answer: &Answer) -> Advice {
        if let Some(lines) = self.removable(question, answer) {
            return Advice::Remove(lines);
        }
        let mut refusals: Vec<Refusal> = Vec::new();
        if let Some(advice) = self.first(question, self.candidates(question), &mut refusals) {
            return advice;
        }
        if let (Question::Path(path, access), true) =
            (question, refusals.iter().any(|refusal| refusal.of_the_mode))
            && let Some(advice) = self.first(question, self.held(path, *access), &mut refusals)
        {
            return advice;
        }
        let mut reasons: Vec<String> = refusals.into_iter().map(|refusal| refusal.what).collect();
        if let (Question::Path(path, access), true) = (question, reasons.is_empty()) {
            let led = self.host_path(path, *access);
            reasons.push(format!("there is no {} on the host that could be shown", led.host));
        }
        let mut once: Vec<String> = Vec::new();
        for reason in reasons {
            if !once.contains(&reason) {
                once.push(reason);
            }
        }
        Advice::Nothing(once)
    }

    /// The first of these that gives it; what is in the way of the others is added.
    fn first(
        &self,
        question: &Question,
        candidates: Vec<Candidate>,
        refusals: &mut Vec<Refusal>,
    ) -> Option<Advice> {
        // First in the own profile alone; what it is run under may have to say so too.
        let scopes: &[bool] = if self.under.is_empty() { &[false] } else { &[false, true] };
        for candidate in candidates {
            for also_under in scopes {
                match self
                    .with(&candidate.toml, *also_under)
                    .and_then(|(one, under)| self.answers(question, &one, &under))
                {
                    Ok(()) => return Some(self.told(question, candidate, *also_under)),
                    // What gives more than was asked for is no reason either.
                    Err(found) if candidate.beware.is_empty() => refusals.extend(found),
                    Err(_) => {}
                }
            }
        }
        None
    }

    fn told(&self, question: &Question, candidate: Candidate, also_under: bool) -> Advice {
        let Candidate { toml, once, beware } = candidate;
        let once = once.filter(|once| !also_under && self.works_once(question, once));
        let once = once.map(|(option, value)| format!("{option} {value}"));
        Advice::Add { toml, to: self.names(also_under), once, beware }
    }

    /// The profiles with lines more.
    fn with(&self, toml: &str, also_under: bool) -> Result<(Profile, Vec<Profile>), Vec<Refusal>> {
        let profile = self.profile.with(toml).map_err(whats)?;
        let under = self.under.iter();
        let under: Result<Vec<Profile>, _> =
            under.map(|one| if also_under { one.with(toml) } else { Ok(one.clone()) }).collect();
        Ok((profile, under.map_err(whats)?))
    }

    /// Whether the question is answered with yes then; what is in the way where not.
    fn answers(
        &self,
        question: &Question,
        profile: &Profile,
        under: &[Profile],
    ) -> Result<(), Vec<Refusal>> {
        let explained = self.explained(profile, under).map_err(whats)?;
        match question.ask(&self.asked(&explained)) {
            Some(answer) if answer.allowed => Ok(()),
            Some(answer) => Err(refusals(&answer)),
            None => Err(Vec::new()),
        }
    }

    fn works_once(&self, question: &Question, (option, value): &(&'static str, String)) -> bool {
        let folders = &self.profile.folders;
        let list = |wanted: &str| {
            if *option == wanted { vec![value.clone()] } else { Vec::new() }
        };
        let typed = Overrides {
            read: list("-r"),
            write: list("-w"),
            execute: list("-x"),
            egress: list("--egress"),
            cwd: folders.cwd.clone(),
            home: folders.home.clone(),
            ..Overrides::default()
        };
        let mut profile = self.profile.clone();
        profile.apply(&typed).is_ok() && self.answers(question, &profile, &self.under).is_ok()
    }

    /// Lines that take away what is given otherwise, where it is given without them.
    fn removable(&self, question: &Question, answer: &Answer) -> Option<Vec<Line>> {
        let takes = |line: &&Line| {
            line.key.starts_with("files.hide") || line.key.starts_with("syscalls.deny")
        };
        let refusing = answer.layers.iter().filter(|judged| !judged.allows);
        let lines: Vec<Line> =
            refusing.flat_map(|judged| &judged.lines).filter(takes).cloned().collect();
        if lines.is_empty() {
            return None;
        }
        let without = |profile: &Profile| {
            let mut less = profile.clone();
            less.files.hide.retain(|hole| !lines.contains(&Line::from(&hole.path.origin)));
            less.syscalls.deny.retain(|entry| !lines.contains(&Line::from(&entry.origin)));
            less
        };
        let under: Vec<Profile> = self.under.iter().map(without).collect();
        self.answers(question, &without(&self.profile), &under).is_ok().then_some(lines)
    }

    fn candidates(&self, question: &Question) -> Vec<Candidate> {
        match question {
            Question::Path(path, access) => self.of_a_path(path, *access),
            Question::Syscall(name) => {
                vec![Candidate::new("syscalls", &[("allow", format!("[{}]", quoted(name)))])]
            }
            Question::Host(host, port) => of_a_host(host, *port),
        }
    }

    /// Grants of what is there on the host: where it is, with a reason where it takes one, or where the
    /// profile shows it already; and last what is protected.
    fn of_a_path(&self, path: &str, access: Access) -> Vec<Candidate> {
        let led = self.host_path(path, access);
        let Some(real) = existing(Path::new(&led.host), access) else { return Vec::new() };
        let list = access.list();
        let option = match list {
            "write" => "-w",
            "execute" => "-x",
            _ => "-r",
        };
        let reason = format!("reason = {}", quoted(REASON));
        let plain = format!("[{}]", quoted(&real));
        let reasoned = format!("[{{ path = {}, {reason} }}]", quoted(&real));
        let mut all: Vec<Candidate> = [plain, reasoned]
            .into_iter()
            .map(|value| Candidate::new("files", &[(list, value)]).once(option, real.clone()))
            .collect();
        if led.inside != led.host {
            let (from, to) = (quoted(&real), quoted(&led.inside));
            let bind = format!("from = {from}, to = {to}, access = {}", quoted(list));
            all.extend(
                [bind.clone(), format!("{bind}, {reason}")]
                    .map(|bind| Candidate::new("files", &[("bind", format!("[{{ {bind} }}]"))])),
            );
        }
        if list == "write" {
            let off = format!("{{ off = {} }}", quoted(REASON));
            let beware = "nothing that the host later executes or obeys is protected then, in any folder \
                          that may be written";
            all.push(Candidate::new("files", &[("protect", off)]).beware(beware));
        }
        all
    }

    /// To let it be written, or a folder that it lies in, the nearest first: what may be written is held for the
    /// sandbox's own user, whoever owns it on the host.
    fn held(&self, path: &str, access: Access) -> Vec<Candidate> {
        let real = existing(Path::new(&self.host_path(path, access).host), access);
        let Some(real) = real.filter(|_| access.list() != "write") else { return Vec::new() };
        let beware = "it is then writable, too, and appears to belong to the sandbox's own user; to allow only reading, \
                      chmod or chown it on the host, or choose [command].user";
        let around = Path::new(&real).ancestors().filter_map(Path::to_str);
        around
            .filter(|folder| *folder != "/")
            .map(|folder| {
                let write = ("write", format!("[{}]", quoted(folder)));
                Candidate::new("files", &[write]).once("-w", folder.to_owned()).beware(beware)
            })
            .collect()
    }
}

fn whats(problems: Vec<Problem>) -> Vec<Refusal> {
    // What is added is nobody's to remove.
    let what = |problem: Problem| match problem.what.split_once("; remove ") {
        Some((what, _)) => what.to_owned(),
        None => problem.what,
    };
    let refusal = |problem| Refusal { what: what(problem), of_the_mode: false };
    problems.into_iter().map(refusal).collect()
}

/// What has to be granted: what is there, or the folder in which a name comes or goes.
fn existing(path: &Path, access: Access) -> Option<String> {
    if path.starts_with("/proc") {
        return path.to_str().map(str::to_owned);
    }
    let makes = access == Access::Write || access.makes();
    let mut at: PathBuf = path.to_owned();
    if access.removes() {
        at = at.parent()?.to_owned();
    }
    loop {
        match at.canonicalize() {
            Ok(real) => return real.to_str().map(str::to_owned),
            Err(_) if makes => at = at.parent()?.to_owned(),
            Err(_) => return None,
        }
    }
}

/// What is in the way, layer by layer.
fn refusals(answer: &Answer) -> Vec<Refusal> {
    let refusing = answer.layers.iter().filter(|judged| !judged.allows);
    refusing
        .map(|judged| match judged.layer {
            "permissions" => Refusal {
                what: format!(
                    "{}: no line changes that; chmod or chown it on the host, or choose [command].user",
                    judged.what
                ),
                of_the_mode: true,
            },
            _ => Refusal { what: judged.what.clone(), of_the_mode: false },
        })
        .collect()
}

impl Subject {
    /// What lets this caller call a tool over its edge of this name; nothing where it may already, or where the
    /// profile that calls is another than what is asked about.
    pub(super) fn of_a_tool(&self, (caller, edge): (&str, &str), tool: &str) -> Option<Advice> {
        let Self { profile, .. } = self;
        if caller != profile.name() || profile.calls.is_empty() {
            return None;
        }
        let graph = graph::around(profile, &mut load::document).ok()?;
        let answer = graph.why(caller, edge, Some(tool));
        let file = self.names(false).into_iter().next()?;
        let advice = of_a_call(profile, &answer, (&file, edge), Some(tool));
        (!answer.allowed && matches!(advice, Advice::Add { .. } | Advice::AddEach(_)))
            .then_some(advice)
    }
}

/// What to write for a call that is refused.
pub(super) fn of_a_call(
    profile: &Profile,
    answer: &Answer,
    (file, name): (&str, &str),
    tool: Option<&str>,
) -> Advice {
    let add = |Addition { toml, to }| Advice::Add { toml, to: vec![to], once: None, beware: "" };
    let tools = |tool: &str| format!("tools = [{}]", quoted(tool));
    let names = |tool: &str| Addition {
        toml: format!("[call.{name}]\n{}", tools(tool)),
        to: file.to_owned(),
    };
    let serves = |tool: &str| {
        let callee = profile.calls.iter().find(|(known, _)| known.as_str() == name);
        let callee = callee.and_then(|(_, call)| call.value.profile.as_ref());
        let to = callee.map_or_else(|| name.to_owned(), |callee| callee.value.to_string());
        Addition { toml: format!("[serve]\n{}", tools(tool)), to }
    };
    let named = answer.layers.iter().skip(1).map(|judged| judged.allows).collect::<Vec<_>>();
    match (named.as_slice(), tool) {
        // What the edge names, then what its callee serves.
        ([false, true], Some(tool)) => add(names(tool)),
        ([true, false], Some(tool)) => add(serves(tool)),
        ([false, false], Some(tool)) => Advice::AddEach(vec![names(tool), serves(tool)]),
        ([], _) => {
            let tools = tools(tool.unwrap_or("*"));
            let toml = format!("[call.{name}]\nprofile = \"{name}.toml\"\n{tools}");
            add(Addition { toml, to: file.to_owned() })
        }
        _ => Advice::Nothing(refusals(answer).into_iter().map(|refusal| refusal.what).collect()),
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
