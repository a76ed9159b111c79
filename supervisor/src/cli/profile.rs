//! `sandboxd profile`.

use super::NOT_SET_UP;
use super::output::{say, say_json, warn};
use super::typed::ProfileCommand;
use crate::profile_file;
use crate::sandbox::StartError;
use sandboxd_profiles::builtin;
use serde_json::json;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

pub(crate) fn profile(command: ProfileCommand) -> u8 {
    let said = match command {
        ProfileCommand::List { json } => list(json),
        ProfileCommand::Show { profile } => return show(&profile),
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

fn show(name: &str) -> u8 {
    let loaded = profile_file::read(name).map_err(|problem| vec![problem]).and_then(|document| {
        sandboxd_profiles::load(document, &mut |path| {
            profile_file::read(path.as_str()).map_err(|problem| problem.what)
        })
    });
    match loaded {
        Ok(profile) => {
            if say(&profile.to_toml()) {
                0
            } else {
                NOT_SET_UP
            }
        }
        Err(problems) => {
            warn(&StartError::Problems(problems).text(name));
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
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(file)
        .and_then(|mut opened| opened.write_all(template(extends).as_bytes()));
    match written {
        Ok(()) => {
            let next = format!(
                "wrote {0}\n  keep    it outside of any folder that the command may write: such a profile is refused\n  next    sandboxd check -p {0} -- COMMAND\n          sandboxd run -p {0} -- COMMAND\n",
                file.display()
            );
            if say(&next) { 0 } else { NOT_SET_UP }
        }
        Err(error) => {
            warn(&format!(
                "sandboxd: {} was not written: {error}\n  remedy  name a file that does not exist yet\n",
                file.display()
            ));
            NOT_SET_UP
        }
    }
}

fn template(extends: &str) -> String {
    format!(
        "# What this agent may touch. Everything that is not written here is refused.\n\
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
