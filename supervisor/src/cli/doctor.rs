//! `sandboxd doctor`: what this host enforces, found by doing it.

mod held;
mod left;

use super::NOT_SET_UP;
use super::clean;
use super::output::{say, say_json, warn};
use super::typed::Doctor;
use crate::cgroup::{Placement, Tree};
use crate::lease::Settings;
use crate::privilege;
use crate::sandbox::{self, AuditLog, StartError, stdio};
use crate::{audit_folder, host};
use sandboxd_profiles::host::{AuditFact, CgroupFacts, HostFacts, Privilege};
use sandboxd_profiles::{Invocation, Overrides, Wanted, builtin};
use serde::Serialize;
use std::path::PathBuf;
use std::time::Instant;

/// One mechanism.
#[derive(Debug, Serialize)]
struct Finding {
    mechanism: &'static str,
    works: bool,
    evidence: String,
    remedy: String,
}

/// What a builtin profile gets here.
#[derive(Debug, Serialize)]
struct Builtin {
    profile: String,
    runs: bool,
    evidence: String,
}

pub(crate) fn doctor(arguments: &Doctor) -> u8 {
    if arguments.clean {
        return clean::clean(arguments.json);
    }
    let left = clean::find(false);
    let mut findings = mechanisms();
    let (profiles, found) = match try_all() {
        Ok(tried) => tried,
        Err(Interrupted(status)) => return status,
    };
    findings.extend(found);
    let all = profiles.iter().all(|one| one.runs);
    let said = if arguments.json {
        let mut told = serde_json::json!({ "mechanisms": findings, "profiles": profiles });
        told.as_object_mut().into_iter().for_each(|told| told.extend(left::json(&left)));
        say_json(&told)
    } else {
        say(&format!("{}\n{}", words(&findings, &profiles), left::words(&left)))
    };
    if said { u8::from(!all) } else { NOT_SET_UP }
}

fn words(findings: &[Finding], profiles: &[Builtin]) -> String {
    let mut text = String::new();
    for (place, one) in findings.iter().enumerate() {
        let state = if one.works { "works" } else { "lacks" };
        let evidence = one.evidence.replace('\n', "\n  ");
        text.push_str(&format!("{state}  {:<16}{evidence}\n", one.mechanism));
        // Once, below the last of those that it is for.
        let next = findings.get(place + 1);
        let again = next.is_some_and(|next| !next.works && next.remedy == one.remedy);
        if !one.works && !again {
            text.push_str(&format!("  remedy  {}\n", one.remedy));
        }
    }
    text.push('\n');
    let mut before: Option<&Builtin> = None;
    for one in profiles {
        let state = if one.runs { "runs " } else { "fails" };
        // What one lacks all lack, as a rule.
        let again = before.filter(|before| before.evidence == one.evidence);
        let evidence = one.evidence.replace('\n', "\n  ");
        let line = match (one.runs, again) {
            (true, _) => format!("{state}  {:<22}{evidence}\n", one.profile),
            (false, Some(_)) => format!("{state}  {:<22}for the same reason\n", one.profile),
            (false, None) => format!("{state}  {}\n  {evidence}\n", one.profile),
        };
        text.push_str(&line);
        before = Some(one);
    }
    text
}

fn mechanisms() -> Vec<Finding> {
    let (wanted, audit_fact) = (Wanted::default(), audit_folder::fact());
    let facts = match host::probe(&wanted, CgroupFacts::None, privilege::find(), audit_fact) {
        Ok(facts) => facts,
        Err(error) => return vec![lacks("host", &error)],
    };
    let mut findings = vec![
        privileges(&facts),
        Finding {
            mechanism: "landlock",
            works: facts.landlock.is_some(),
            evidence: facts.landlock.map_or_else(
                || String::from("not in this kernel, or switched off"),
                |found| format!("ABI {}, errata {:#x}", found.abi, found.errata),
            ),
            remedy: String::from("kernel 5.13 or newer, booted with lsm=landlock,…"),
        },
        Finding {
            mechanism: "memfd_noexec",
            works: facts.memfd_noexec && !facts.is_rootless(),
            evidence: String::from(match (facts.memfd_noexec, facts.is_rootless()) {
                (true, true) => "vm.memfd_noexec, which only root can set",
                (true, false) => "vm.memfd_noexec",
                (false, _) => "not in this kernel",
            }),
            remedy: String::from(
                "kernel 6.3 or newer, and root; or waive it: [require] memfd_noexec = \"if-available\"",
            ),
        },
    ];
    if facts.is_rootless() {
        findings.push(Finding {
            mechanism: "uid",
            works: false,
            evidence: format!("the command runs as uid {}, with its groups, like its caller", facts.invoker.0),
            remedy: String::from(
                "run sandboxd as root; or waive it, as the builtin profiles do: [require] uid = \"if-available\"",
            ),
        });
    }
    findings.extend(cgroups(&facts.privilege));
    findings.push(audit(facts.audit));
    findings
}

/// Where what happens is written down.
fn audit(fact: AuditFact) -> Finding {
    let (works, evidence, remedy) = match fact {
        AuditFact::Folder(folder) => (true, format!("{folder}{}", held::held()), String::new()),
        AuditFact::Lacking(gap) => {
            let waive = "waive it: [require] audit = \"if-available\"";
            let remedy = match gap.remedy.as_str() {
                "" => waive.to_owned(),
                known => format!("{known}; or {waive}"),
            };
            (false, gap.why, remedy)
        }
    };
    Finding { mechanism: "audit log", works, evidence, remedy }
}

/// By what right sandboxes are made here.
fn privileges(facts: &HostFacts) -> Finding {
    let (works, evidence, remedy) = match &facts.privilege {
        Privilege::Root if !facts.own.leads_networks => (
            false,
            format!("root, without {}, which egress needs", host::FOR_EGRESS),
            format!(
                "let sandboxd keep {}: --cap-add=NET_ADMIN of a container, CapabilityBoundingSet= of a unit",
                host::FOR_EGRESS
            ),
        ),
        Privilege::Root => {
            (true, String::from("root, with every capability that is needed"), String::new())
        }
        Privilege::UserNamespace => (
            true,
            format!("uid {}, in a user namespace for each sandbox", facts.invoker.0),
            String::new(),
        ),
        Privilege::None { what, remedy } => (false, what.clone(), remedy.clone()),
    };
    Finding { mechanism: "privileges", works, evidence, remedy }
}

fn cgroups(privilege: &Privilege) -> Vec<Finding> {
    let settings = match privilege {
        Privilege::Root => Settings::read(),
        // They are about what root gives out.
        Privilege::UserNamespace | Privilege::None { .. } => Ok(Settings::default()),
    };
    let placement = match settings {
        Ok(settings) => settings.cgroups.parent.map_or(Placement::Own, Placement::Below),
        Err(error) => {
            return vec![Finding {
                mechanism: "settings",
                works: false,
                evidence: error.subject,
                remedy: error.remedy,
            }];
        }
    };
    match Tree::settle(&placement) {
        Ok(tree) => {
            let found = Finding {
                mechanism: "cgroups",
                works: tree.missing().is_empty(),
                evidence: format!("{}; {}", hierarchies(&tree.facts()), tree.placed()),
                remedy: String::from("see the controllers below"),
            };
            let missing = tree.missing().iter().map(|one| Finding {
                mechanism: one.controller.name(),
                works: false,
                evidence: one.gap.why.clone(),
                remedy: one.gap.remedy.clone(),
            });
            std::iter::once(found).chain(missing).collect()
        }
        Err(error) => vec![Finding {
            mechanism: "cgroups",
            works: false,
            evidence: error.to_string(),
            remedy: error.remedy,
        }],
    }
}

/// Which hierarchies there are, and the controllers of a sandbox's.
fn hierarchies(facts: &CgroupFacts) -> String {
    let names: Vec<&str> = facts.controllers().iter().map(|one| one.name()).collect();
    let kind = match facts {
        CgroupFacts::V2 { .. } => "v2",
        CgroupFacts::V1 { unified: true, .. } => "v1, and v2 beside it",
        CgroupFacts::V1 { unified: false, .. } => "v1",
        CgroupFacts::None => return String::from("none that can be written"),
    };
    format!("{kind}; {}", names.join(", "))
}

/// Runs `true` under each builtin profile: every stage, every probe of the self-test, every record; and once
/// with a way out. What was found beside: that way, and what keeps the log from being kept in order.
fn try_all() -> Result<(Vec<Builtin>, Vec<Finding>), Interrupted> {
    let log = match AuditLog::begin(audit_folder::open, |_| {}) {
        Ok(log) => log,
        Err(error) => return Ok((vec![fails("every one", &error)], Vec::new())),
    };
    let tried = builtin::list().iter().map(|one| try_profile(one.name, &log));
    let tried: Result<Vec<Builtin>, Interrupted> = tried.collect();
    let tried = tried.and_then(|tried| Ok((tried, try_egress(&log)?)));
    let untended = tried.as_ref().ok().and_then(|_| log.untended(true));
    let closed = log.end();
    let (mut tried, egress) = tried?;
    tried.extend(closed.err().map(|error| fails("the audit log of all", &error)));
    // Logs of before that cannot be closed, or cannot be removed though they were kept long enough.
    let untended = untended.map(|error| lacks("old logs", &error));
    Ok((tried, std::iter::once(egress).chain(untended).collect()))
}

fn lacks(mechanism: &'static str, error: &StartError) -> Finding {
    Finding {
        mechanism,
        works: false,
        evidence: error.line(),
        remedy: error.remedy().unwrap_or_default(),
    }
}

/// Somebody asked for the end, by a signal that a run passed on; the status that says which.
struct Interrupted(u8);

impl Interrupted {
    /// `true` ends with no such status by itself.
    fn hear(ended: &Result<(u8, Vec<String>), StartError>) -> Result<(), Self> {
        match ended {
            Ok((status @ (129..=131 | 143), _)) => Err(Self(*status)),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

/// Whether chosen hosts can be reached, and no others.
fn try_egress(log: &AuditLog) -> Result<Finding, Interrupted> {
    let ended = run_true("untrusted", &["host.internal:443"], log);
    Interrupted::hear(&ended)?;
    let (works, evidence) = match ended {
        Ok((0, _)) => {
            (true, String::from("nf_tables redirects every connection to the egress process"))
        }
        Ok((status, _)) => (false, format!("`true` ended with {status}")),
        Err(error) => {
            log.refused("egress", &error);
            (false, fails("egress", &error).evidence.trim_start().to_owned())
        }
    };
    // What keeps every run from being started has its own remedy, and is no matter of hosts.
    let remedy = String::from(
        if works || evidence.contains("nf_tables") || evidence.contains("nft") {
            "load the module nft_redir; without it, named hosts can be reached only through the proxy: network.way = \"proxy\""
        } else {
            "as said there; first fix what else is missing above"
        },
    );
    Ok(Finding { mechanism: "egress", works, evidence, remedy })
}

fn try_profile(name: &str, log: &AuditLog) -> Result<Builtin, Interrupted> {
    let profile = format!("builtin:{name}");
    let ended = run_true(name, &[], log);
    Interrupted::hear(&ended)?;
    Ok(match ended {
        Ok((status, waived)) => Builtin {
            profile,
            runs: status == 0,
            evidence: match (status, waived.is_empty()) {
                (0, true) => String::from("every layer on, every probe answered as planned"),
                (0, false) => format!("waived:\n{}", waived.join("\n")),
                (status, _) => format!("`true` ended with {status}"),
            },
        },
        Err(error) => {
            log.refused(name, &error);
            fails(&profile, &error)
        }
    })
}

fn fails(profile: &str, error: &StartError) -> Builtin {
    let text = error.text(profile);
    let lines = text.lines().skip(1).filter(|line| !line.trim().is_empty());
    let evidence = lines.collect::<Vec<_>>().join("\n");
    Builtin { profile: profile.to_owned(), runs: false, evidence }
}

fn run_true(name: &str, egress: &[&str], log: &AuditLog) -> Result<(u8, Vec<String>), StartError> {
    let (_, home) = host::folders();
    let folder = Folder::make()?;
    let cwd = folder.0.to_str().and_then(|path| sandboxd_plan::HostPath::try_from(path).ok());
    let document = builtin::find(name).ok_or_else(|| StartError::found("profile", name))?;
    let mut profile =
        sandboxd_profiles::load(document, &mut |_| Err(String::from("not a builtin")))?;
    let command = sandboxd_plan::Text::try_from("true")
        .map_err(|error| StartError::found("command", error.to_string()))?;
    // It shows nothing, and whoever types meanwhile types for what comes next.
    let mut set = vec![String::from("command.tty=\"never\"")];
    // The others tell of everything else that is lacking.
    let others = ["audit", "cgroup", "core_handler", "landlock", "memfd_noexec", "uid"].into_iter();
    let waived = others.filter(|_| !egress.is_empty());
    set.extend(waived.map(|key| format!("require.{key}=\"if-available\"")));
    let command = vec![command];
    let egress = egress.iter().map(|to| (*to).to_owned()).collect();
    profile.apply(&Overrides { command, cwd, home, set, egress, ..Overrides::default() })?;
    let invocation = Invocation { streams: stdio::callers(), ..Invocation::default() };
    let since = Instant::now();
    let tried = format!("builtin:{name}");
    let late: sandbox::Late = Box::new(move |error| {
        warn(&error.text(&tried));
        error.exit_status()
    });
    let request = sandbox::Request {
        within: None,
        sockets: Vec::new(),
        purses: sandbox::Purses::default(),
        profile: &profile,
        under: &[],
        invocation: &invocation,
        since,
        ahead: sandbox::Ahead::begin(since, sandbox::Then::Rest, late)?,
        audit: log.of(&profile),
        digest: false,
        around: sandbox::Around::Caller { calls: None },
    };
    let finished = sandbox::run(request, None)?;
    Ok((finished.result.exit_status(), finished.waived))
}

/// An empty folder to run the profiles in that show the one they are run in.
struct Folder(PathBuf);

impl Folder {
    fn make() -> Result<Self, StartError> {
        let path = std::env::temp_dir().join(format!("{}{}", clean::DOCTOR, std::process::id()));
        std::fs::create_dir(&path).map_err(|error| {
            StartError::found("create_dir", format!("{}: {error}", path.display()))
        })?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Whatever is in it was not made here.
        std::fs::remove_dir(&self.0).ok();
    }
}
