//! What was seen becomes a profile: without what the profile gives that is extended, and without what must not
//! be granted. Each grant is tried before it is written.

use super::linked::{by_file, linked};
use crate::calls::Called;
use crate::cli::not_called;
use crate::cli::typed::Grants;
use crate::cli::went_out;
use crate::cli::why::subject::Subject;
use crate::host;
use crate::learn::group::{self, Around, LeftOut, List, Wanted, group};
use crate::learn::seen::{All, Need};
use crate::learn::text::{Learnt, UsedEdge, is_plain, quoted};
use crate::sandbox::{Refused, RunResult, StartError};
use sandboxd_profiles::schema::literal::holds_key;
use sandboxd_profiles::syscalls::name;
use sandboxd_profiles::why::{Access, Answer, Asked};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// So many grants are written, those for most names first.
const MOST: usize = 200;
/// So much of what is left out is listed.
const LISTED: usize = 100;

/// A profile, and what is in it.
pub(super) struct Written {
    pub(super) text: String,
    pub(super) grants: usize,
    pub(super) left_out: usize,
}

pub(super) fn profile(
    grants: &Grants,
    seen: &All,
    result: &RunResult,
) -> Result<Written, StartError> {
    let Grants { profile, env, set, .. } = grants;
    // What the host cannot do stays waived; what was typed besides is not in the profile.
    let waives = |set: &&String| set.trim_start().starts_with("require.");
    let waived = set.iter().filter(waives).cloned().collect();
    let base = Grants { profile: profile.clone(), set: waived, ..Grants::default() };
    let subject = Subject::load(&base)?;
    let explained = subject.explained(&subject.profile, &[])?;
    let asked = subject.asked(&explained);
    let mut left = given_again(env, set);
    let wanted: Vec<Wanted> =
        seen.paths.iter().filter_map(|one| wanted(&asked, one, &mut left)).collect();
    let (cwd, home) = host::folders();
    let path = |path: Option<sandboxd_plan::HostPath>| {
        path.map_or_else(|| PathBuf::from("/nowhere"), |path| PathBuf::from(path.as_str()))
    };
    let (cwd, home) = (path(cwd), path(home));
    let writable: Vec<PathBuf> = real(&grants.write).collect();
    let around = Around { work: &cwd, home: &home, writable: &writable };
    let (mut files, more) = group(&wanted, around);
    left.extend(more);
    files.retain(|(list, path), what| {
        let by = what.by.iter().next().cloned().unwrap_or_default();
        tried(&subject, grants, *list, path)
            .map_err(|why| {
                let what = format!("{} {}", list.key(), path.display());
                left.push(LeftOut { what, by, why });
            })
            .is_ok()
    });
    left.extend(linked(&asked, seen, &mut files, |list, path| tried(&subject, grants, list, path)));
    left.extend(cut(&mut files));
    let calls = calls(&asked, seen);
    left.extend(not_let_out(result));
    let own: Vec<&Called> = own(&subject, result).collect();
    left.extend(own.iter().flat_map(|edge| not_called(edge)));
    let exec = subject_command(grants, &subject, (&asked, &files), &mut left);
    let left_out = left.len();
    left.truncate(LISTED);
    let extends = extends(profile.as_deref().unwrap_or("builtin:base"));
    let shown = files.keys().any(|(_, path)| cwd.starts_with(path) || path.starts_with(&cwd));
    let cwd_text = cwd.to_str().filter(|text| shown && is_plain(text));
    let learnt = Learnt {
        // Who calls has a name, which no profile gets from another.
        name: (!subject.profile.calls.is_empty()).then(|| subject.profile.name()),
        extends: &extends,
        exec: &exec,
        cwd: cwd_text,
        egress: &grants.egress,
        grants: &files,
        calls: &calls,
        edges: &edges(&subject, &own),
        left_out: &left,
    };
    Ok(Written { text: learnt.text(), grants: files.len() + calls.len(), left_out })
}

/// Takes out what is too much, those for fewest names first.
fn cut(files: &mut group::Grants) -> Vec<LeftOut> {
    let mut left = Vec::new();
    while files.len() > MOST {
        let least = files.iter().min_by_key(|(_, what)| what.names).map(|(key, _)| key.clone());
        let Some(least) = least else { break };
        files.remove(&least);
        let what = format!("{} {}", least.0.key(), least.1.display());
        left.push(LeftOut { what, by: String::new(), why: "there are too many of them".into() });
    }
    left
}

/// What was typed of what this host may lack: without it the profile may not start here.
pub(super) fn lacks(set: &[String]) -> impl Iterator<Item = &str> {
    set.iter().map(String::as_str).filter(|set| set.trim_start().starts_with("require."))
}

/// What was typed and is not in the profile: of variables, which may be secrets, the names.
fn given_again(env: &[String], set: &[String]) -> Vec<LeftOut> {
    let name = |text: &str| text.split('=').next().unwrap_or_default().trim().to_owned();
    let typed = env.iter().map(|text| format!("--env {}", name(text)));
    let typed = typed.chain(set.iter().map(|text| format!("--set {}", name(text))));
    let why = "it was typed: type it again, or write it down here";
    let left = typed.map(|what| LeftOut { what, by: String::new(), why: why.to_owned() });
    left.collect()
}

/// The system calls that the profile refuses, and who made them.
fn calls(asked: &Asked<'_>, seen: &All) -> Vec<(String, String)> {
    let refused = seen.calls.iter().filter_map(|(number, by)| {
        let call = name(*number)?;
        let refused = asked.syscall(call).is_some_and(|answer| !answer.allowed);
        refused.then(|| (call.to_owned(), String::from_utf8_lossy(by).into_owned()))
    });
    refused.collect()
}

/// What is wanted and not given by the profile that is extended.
fn wanted(
    asked: &Asked<'_>,
    (path, (need, folder, by)): (&Vec<u8>, &(Need, bool, Vec<u8>)),
    left: &mut Vec<LeftOut>,
) -> Option<Wanted> {
    let by = String::from_utf8_lossy(by).into_owned();
    let path = Path::new(OsStr::from_bytes(path));
    if group::is_secret(path) {
        // It was covered meanwhile. What is not there was not wanted, but by whoever would make it.
        if !is_there(path, *need) {
            return None;
        }
    } else if need.has(Need::ABSENT) {
        // That it was not there is no reason to show it from now on.
        if path.symlink_metadata().is_ok() {
            let why = match group::key_in(path) {
                Some(key) => format!("{key} is in it: name what is needed besides"),
                None => {
                    "it was not visible during the run: learn with -r, -w or -x for it".to_owned()
                }
            };
            left.push(LeftOut { what: path.to_string_lossy().into_owned(), by, why });
        }
        return None;
    }
    if let Some(text) = path.to_str().filter(|text| is_plain(text)) {
        let missing = missing(asked, text, *need, *folder);
        return missing.map(|need| Wanted { path: path.to_owned(), need, folder: *folder, by });
    }
    let why = "its name is not plain text".to_owned();
    left.push(LeftOut { what: path.to_string_lossy().into_owned(), by, why });
    None
}

/// Whether there is a key, or a folder of keys in which one would have been made.
fn is_there(path: &Path, need: Need) -> bool {
    let there = |path: &Path| path.symlink_metadata().is_ok();
    let makes = need.has(Need::WRITE) || need.has(Need::NAME);
    let folders = path.ancestors().skip(1).filter(|above| group::is_secret(above));
    there(path) || (makes && folders.into_iter().any(there))
}

/// What of a need is not met.
pub(super) fn missing(asked: &Asked<'_>, path: &str, need: Need, folder: bool) -> Option<Need> {
    // What owner and mode of the file refuse, no line gives; and what is mapped need not be executable.
    let given = |answer: &Answer| {
        answer.layers.iter().all(|judged| judged.allows || judged.layer == "permissions")
    };
    let may = |access| given(&asked.path(path, access));
    let makes = || match Path::new(path).parent().and_then(Path::to_str) {
        Some(parent) => given(&asked.path(parent, Access::MakeReg)),
        None => false,
    };
    // What is gone again is asked about by the folder that it was in. Inside, it may have another name.
    let there = |place: &Path| {
        let led = place.to_str().and_then(|place| asked.leads(place, Access::Read));
        let outside = led.and_then(|(_, host)| host);
        place.symlink_metadata().is_ok()
            || outside.is_some_and(|host| Path::new(host.as_str()).symlink_metadata().is_ok())
    };
    let above = Path::new(path).ancestors().find(|above| there(above));
    let above = above.and_then(Path::to_str).unwrap_or(path);
    let gone = above != path;
    let read = if folder { Access::ReadDir } else { Access::ReadFile };
    let in_it = |access| given(&asked.path(above, access));
    let all = [
        (Need::READ, if gone { in_it(Access::ReadDir) } else { may(read) }),
        (Need::WRITE, if gone { in_it(Access::MakeReg) } else { may(Access::WriteFile) }),
        (Need::EXECUTE, if gone { in_it(Access::Execute) } else { may(Access::Execute) }),
        (Need::NAME, if gone { in_it(Access::MakeReg) } else { makes() }),
    ];
    let open = all.into_iter().filter(|(kind, given)| need.has(*kind) && !given);
    let missing = open.fold(Need::default(), |all, (kind, _)| all.and(kind));
    let made = need.has(Need::FOLDER) && missing.has(Need::NAME);
    let missing = if made { missing.and(Need::FOLDER) } else { missing };
    (!missing.is_nothing()).then_some(missing)
}

/// Whether a grant can be written, as a profile with it is resolved; why not, where not.
fn tried(subject: &Subject, typed: &Grants, list: List, path: &Path) -> Result<(), String> {
    let text = path.to_str().ok_or("its name is not plain text")?;
    if group::is_secret(path) {
        return Err("it holds keys, tokens or history".into());
    }
    let mut named = real(&typed.read).chain(real(&typed.write)).chain(real(&typed.execute));
    if let Some(key) = group::key_in(path).filter(|_| !named.any(|named| named == path)) {
        return Err(format!("{key} is in it: name what is needed besides"));
    }
    let line = format!("[files]\n{} = [{}]", list.key(), quoted(text));
    let first = |problems: Vec<sandboxd_profiles::Problem>| {
        problems.into_iter().next().map_or_else(String::new, |problem| problem.what)
    };
    let with = subject.profile.with(&line).map_err(first)?;
    subject.explained(&with, &[]).map(drop).map_err(first)
}

/// Where what was typed really lies.
fn real(typed: &[String]) -> impl Iterator<Item = PathBuf> + '_ {
    typed.iter().filter_map(|named| Path::new(named).canonicalize().ok())
}

/// The command as it was typed, or as the profile has it. One with a key in it may be typed, and is in no profile.
fn subject_command(
    grants: &Grants,
    subject: &Subject,
    (asked, files): (&Asked<'_>, &group::Grants),
    left: &mut Vec<LeftOut>,
) -> Vec<String> {
    let typed = grants.command.iter().map(|word| word.to_string_lossy().into_owned());
    let mut words: Vec<String> = typed.collect();
    if words.is_empty() {
        let exec = subject.profile.command.exec.iter().flat_map(|exec| &exec.value);
        words.extend(exec.map(|word| String::from_utf8_lossy(word.as_bytes()).into_owned()));
    }
    if words.iter().any(|word| holds_key(word)) {
        let what = String::from("the command and its arguments");
        let why = String::from("a key is in them: type them again, or name it in [secrets.NAME]");
        left.insert(0, LeftOut { what, by: String::new(), why });
        words.clear();
    }
    left.extend(by_file(asked, files, &mut words));
    words
}

/// The profile that is extended, as one in any folder names it.
fn extends(profile: &str) -> String {
    if profile.starts_with("builtin:") {
        return profile.to_owned();
    }
    let real = Path::new(profile).canonicalize().ok();
    real.and_then(|real| real.to_str().map(str::to_owned)).unwrap_or_else(|| profile.to_owned())
}

/// What was called over each edge of the profile that is extended.
fn edges(subject: &Subject, called: &[&Called]) -> Vec<UsedEdge> {
    let edges = subject.profile.calls.iter().map(|(name, edge)| {
        let used = called.iter().find(|one| one.edge == name.as_str());
        let tools = used.iter().flat_map(|used| &used.tools).map(|tool| ("tools", tool));
        let others = used.iter().flat_map(|used| &used.others);
        let others =
            others.flat_map(|(key, names)| names.iter().map(move |name| (key.as_str(), name)));
        let mut lists: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (key, name) in tools.chain(others) {
            lists.entry(key.to_owned()).or_default().push(name.clone());
        }
        lists.values_mut().for_each(|names| names.sort());
        let reach = &edge.value.reach;
        let named = [&reach.tools, &reach.resources, &reach.prompts, &reach.methods];
        let named = named.into_iter().flatten().map(|pattern| pattern.value.as_str());
        let is_used = |name: &str| lists.values().flatten().any(|used| used == name);
        let all = named.clone().all(is_used);
        let forgot = used.is_some_and(|used| used.forgot_used());
        UsedEdge { name: name.to_string(), all, forgot, lists }
    });
    edges.collect()
}

/// The edges of the profile itself that anything was called over.
fn own<'r>(subject: &Subject, result: &'r RunResult) -> impl Iterator<Item = &'r Called> {
    result.called.iter().filter(|edge| edge.caller == subject.profile.name())
}

/// What was wanted of an edge and refused.
fn not_called(called: &Called) -> Vec<LeftOut> {
    let Called { edge, .. } = called;
    let refused = called.refused.iter().flat_map(|one| {
        let by = String::from("the broker");
        let named = one.tools.iter().map(|tool| LeftOut {
            what: format!("call {tool} of {edge}"),
            by: String::from("the broker"),
            why: if one.rule == "reach" {
                format!(
                    "not named: [call.{edge}] tools = [{}], where its server serves it",
                    quoted(tool)
                )
            } else {
                not_called::remedy(called, one)
            },
        });
        let named: Vec<LeftOut> = named.collect();
        // What was meant is only told of what is there.
        let why = not_called::remedy(called, one);
        let all = LeftOut { what: format!("call: {}", not_called::line(called, one)), by, why };
        if named.is_empty() { vec![all] } else { named }
    });
    let forgot = called.forgot_refused().then(|| LeftOut {
        what: format!("more calls of {edge}"),
        by: String::from("the broker"),
        why: String::from("so much was refused that not all was remembered: learn again without"),
    });
    forgot.into_iter().chain(refused).collect()
}

fn not_let_out(result: &RunResult) -> Vec<LeftOut> {
    let refused = result.egress.iter().flat_map(|used| &used.refused);
    let why = |one: &Refused| match one.remedy {
        Some(remedy) => format!("{}: {}", one.why, went_out::filled(remedy, &[&one.to])),
        None => one.why.to_owned(),
    };
    let line = |one: &Refused| LeftOut {
        what: format!("network: {}", one.to),
        by: String::from("the way out"),
        why: why(one),
    };
    refused.map(line).collect()
}
