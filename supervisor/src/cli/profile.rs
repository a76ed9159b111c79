//! `sandboxd profile`.

use super::NOT_SET_UP;
use super::output::{refuse, say, say_json, warn};
use super::typed::ProfileCommand;
use crate::explain::{self, printable};
use crate::profile_file;
use crate::sandbox::StartError;
use rustix::io::Errno;
use sandboxd_profiles::schema::Access;
use sandboxd_profiles::{Base, builtin};
use serde_json::json;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

pub(crate) fn profile(command: ProfileCommand) -> u8 {
    let said = match command {
        ProfileCommand::List { json } => list(json),
        ProfileCommand::Show { profile, json } => return show(&profile, json),
        ProfileCommand::Init { file, extends } => return init(&file, &extends),
        ProfileCommand::Schema => say(&format!("{}\n", sandboxd_profiles::schema())),
    };
    if said { 0 } else { NOT_SET_UP }
}

fn list(json: bool) -> bool {
    if json {
        let all: Vec<_> = builtin::list()
            .iter()
            .map(|one| json!({ "name": format!("builtin:{}", one.name), "description": one.description }))
            .collect();
        return say_json(&all);
    }
    let lines = builtin::list()
        .iter()
        .map(|one| format!("{:<22}{}\n", format!("builtin:{}", one.name), one.description));
    say(&lines.collect::<String>())
}

fn show(name: &str, json: bool) -> u8 {
    let loaded = profile_file::read(name).map_err(|problem| vec![problem]).and_then(|document| {
        sandboxd_profiles::load(document, &mut |path| {
            profile_file::read(path.as_str()).map_err(|problem| problem.what)
        })
    });
    match loaded {
        Ok(profile) => {
            let said = if json { say_json(&profile.to_json()) } else { say(&profile.to_toml()) };
            if said { 0 } else { NOT_SET_UP }
        }
        Err(problems) => {
            refuse(&StartError::Problems(problems), name, json);
            NOT_SET_UP
        }
    }
}

fn init(file: &Path, extends: &str) -> u8 {
    let extends = extends.strip_prefix("builtin:").unwrap_or(extends);
    if builtin::find(extends).is_none() {
        warn(&format!(
            "sandboxd: there is no builtin profile {extends:?}\n  remedy  choose one of `sandboxd profile list`\n"
        ));
        return NOT_SET_UP;
    }
    // Whatever the umask lets others do: a profile that they may write is refused. What it keeps from them stays kept.
    let made = File::options().write(true).create_new(true).mode(0o644).open(file);
    let written = made.and_then(|mut made| {
        made.write_all(template(extends).as_bytes()).inspect_err(|_| {
            // Half a profile is none. Where it stays, the next try says so.
            std::fs::remove_file(file).ok();
        })
    });
    let name = printable(&file.display().to_string());
    match written {
        Ok(()) => {
            let keep = if is_written_by(extends, file) {
                "move it out of this folder, which it lets the command write: it is rejected here"
            } else {
                "it outside of any folder that the command may write: such a profile is rejected"
            };
            let next = format!(
                "wrote {name}\n  keep    {keep}\n  next    sandboxd check -p {name} -- COMMAND\n          sandboxd run -p {name} -- COMMAND\n"
            );
            if say(&next) { 0 } else { NOT_SET_UP }
        }
        Err(error) => {
            let remedy = match Errno::from_io_error(&error) {
                Some(Errno::EXIST) => "name a file that does not exist yet",
                Some(Errno::NOENT | Errno::NOTDIR) => "create its folder first",
                Some(Errno::ACCESS | Errno::PERM | Errno::ROFS) => {
                    "name a file in a folder of yours"
                }
                Some(Errno::NOSPC | Errno::DQUOT) => "free space on that disk",
                _ => "name another file",
            };
            warn(&format!(
                "sandboxd: {name} was not written: {}\n  remedy  {remedy}\n",
                explain::io(&error)
            ));
            NOT_SET_UP
        }
    }
}

/// Whether a command run in this folder, under what a profile extends, could write that profile.
fn is_written_by(extends: &str, file: &Path) -> bool {
    let loaded = builtin::find(extends).and_then(|document| {
        sandboxd_profiles::load(document, &mut |_| Err(String::from("not a builtin"))).ok()
    });
    let writes = loaded.is_some_and(|profile| {
        let mut grants = profile.files.grants.iter();
        grants.any(|one| one.access == Access::Write && one.path.value.base() == Base::Cwd)
    });
    let real = file.canonicalize().ok().zip(std::env::current_dir().ok());
    writes && real.is_some_and(|(file, here)| file.starts_with(here))
}

fn template(extends: &str) -> String {
    format!(
        "# What this agent may touch. Everything that is not listed here is denied.\n\
         # `sandboxd profile show` prints this file with all it extends; `sandboxd profile schema` every key.\n\
         name = \"agent\"\n\
         extends = [\"builtin:{extends}\"]\n\
         \n\
         # [command]\n\
         # exec = [\"/usr/bin/python3\", \"agent.py\"]   # or after `--` on the command line\n\
         \n\
         # [files]\n\
         # read = [\"/srv/data\"]\n\
         # hide = [\"/srv/data/private\"]\n\
         \n\
         # [limits]\n\
         # memory = \"2G\"\n\
         # wall_time = \"30m\"\n"
    )
}
