//! `sandboxd secret`.

mod rotate;
mod uses;

use super::NOT_SET_UP;
use super::load;
use super::output::{refuse, say, say_json, warn};
use super::typed::{SecretCommand, SecretsOf};
use crate::explain::printable;
use crate::sandbox::{self, StartError};
use crate::secret::{self, ordinary::warning};
use sandboxd_egress::ssh::private;
use sandboxd_egress_plan::{EgressPlan, Inject, Login, Signer, Spot, Which};
use sandboxd_profiles::{Copied, From, Held, Outside, Placeholder};
use serde_json::{Value, json};

/// The status that says that one cannot be read.
const UNREAD: u8 = 1;

pub(crate) fn secret(command: &SecretCommand) -> u8 {
    match command {
        SecretCommand::List(of) => told(of, |outside| list(outside, of)),
        SecretCommand::Check(of) => told(of, |outside| check(outside, of)),
        SecretCommand::Uses(typed) => uses::show(typed),
        SecretCommand::Rotate(typed) => rotate::rotate(typed),
    }
}

/// Tells of the secrets that a run would hold.
fn told(of: &SecretsOf, tell: impl Fn(&Outside) -> u8) -> u8 {
    match outside(of) {
        Ok(outside) => tell(&outside),
        Err(error) => {
            refuse(&error, &load::name(&of.grants), of.json);
            NOT_SET_UP
        }
    }
}

fn outside(of: &SecretsOf) -> Result<Outside, StartError> {
    let mut loaded = load::load(&of.grants)?;
    load::name_a_command(&mut loaded.profile)?;
    load::resolved(&loaded).map(|resolved| resolved.outside)
}

/// Where one is read, as profiles have it.
fn from(held: &Held) -> String {
    match &held.from {
        From::File(path) => format!("file:{path}"),
        From::Systemd(name) => format!("systemd:{name}"),
        From::Env(name) => format!("env:{name}"),
        From::Exec { program, .. } => format!("exec:{program}"),
        From::Age { file, .. } => format!("age:{file}"),
        From::Agent { key, .. } => format!("agent:{key}"),
    }
}

/// Who uses the secret of this place, in words.
fn uses(outside: &Outside, place: usize) -> Vec<String> {
    let is_it = |copied: &&Copied| matches!(copied, Copied::Secret(one) if usize::try_from(*one) == Ok(place));
    let files = outside.copies.iter().filter(is_it);
    let mut uses: Vec<String> =
        files.map(|_| String::from("the command reads it in $CREDENTIALS_DIRECTORY")).collect();
    uses.extend(outside.egress.iter().flat_map(|plan| injected(plan, outside.secrets.get(place))));
    uses.extend(outside.egress.iter().flat_map(|plan| signed(plan, outside.secrets.get(place))));
    uses.extend(outside.secrets.get(place).into_iter().flat_map(|held| placed(outside, held)));
    uses.dedup();
    uses
}

/// The arguments in which it stands for its placeholder.
fn placed<'o>(outside: &'o Outside, held: &'o Held) -> impl Iterator<Item = String> + 'o {
    let all = outside.placeholders.iter().filter(|one| one.secret == held.name);
    all.map(|Placeholder { secret, call, tools, arguments }| {
        let of = |argument: &String| {
            if argument.is_empty() { String::from("every argument") } else { argument.clone() }
        };
        let arguments: Vec<String> = arguments.iter().map(of).collect();
        format!(
            "stands for {{{{secret:{secret}}}}} in {} of {} over [call.{call}]",
            arguments.join(", "),
            tools.join(", ")
        )
    })
}

/// Which of the secrets of the way out it is.
fn number(plan: &EgressPlan, held: Option<&Held>) -> Option<usize> {
    plan.secrets.iter().position(|name| held.is_some_and(|held| held.name == *name))
}

/// What it signs.
fn signed(plan: &EgressPlan, held: Option<&Held>) -> Vec<String> {
    let number = number(plan, held);
    let is_it = |signer: &&Signer| usize::try_from(signer.secret).ok() == number;
    let all = plan.agent.signers.iter().filter(is_it);
    all.flat_map(|signer| {
        let logins = signer.logins.iter().map(|Login { user, host, port, .. }| {
            format!("signs logins by SSH as {user} at {host}:{port}")
        });
        logins.chain(signer.texts.iter().map(|text| format!("signs texts of the namespace {text}")))
    })
    .collect()
}

/// The requests that it is put into.
fn injected(plan: &EgressPlan, held: Option<&Held>) -> Vec<String> {
    let number = number(plan, held);
    let is_it = |inject: &&Inject| usize::try_from(inject.secret).ok() == number;
    let all = plan.injects.iter().filter(is_it);
    all.map(|inject| {
        let place = match &inject.spot {
            Spot::Header { name, .. } => format!("the header {}", name.as_str()),
            Spot::Query { name } => format!("the parameter {name}"),
            Spot::Basic { user } => format!("the password of {user:?}"),
        };
        let Inject { host, port, method, path, .. } = inject;
        let requests = match method {
            Which::Any => "requests to",
            Which::Only(method) => method.as_str(),
        };
        let path = match path {
            Which::Any => "",
            Which::Only(path) => path.as_str(),
        };
        format!("put into {place} of {requests} {host}:{port}{path}")
    })
    .collect()
}

/// That a profile has none, and which was asked.
fn none(of: &SecretsOf) -> String {
    let name = load::profile_name(&of.grants);
    let typed = if of.grants.profile.is_some() { "" } else { "; name another with -p" };
    format!("no secrets: {} has no [secrets.NAME]{typed}\n", printable(&name))
}

fn list(outside: &Outside, of: &SecretsOf) -> u8 {
    let all = outside.secrets.iter().enumerate();
    if of.json {
        let all = all.map(|(place, held)| {
            json!({ "name": held.name, "from": from(held), "uses": uses(outside, place) })
        });
        return status(say_json(&Value::Array(all.collect())), 0);
    }
    let mut text = String::new();
    for (place, held) in all {
        text.push_str(&format!("{}\n  from  {}\n", held.name, printable(&from(held))));
        for uses in uses(outside, place) {
            text.push_str(&format!("  use   {}\n", printable(&uses)));
        }
    }
    if text.is_empty() {
        text.push_str(&none(of));
    }
    status(say(&text), 0)
}

fn check(outside: &Outside, of: &SecretsOf) -> u8 {
    let json = of.json;
    let mut unread = 0;
    let (mut text, mut objects) = (String::new(), Vec::new());
    for held in &outside.secrets {
        let read = tried(outside, held);
        if json {
            let ok = read.is_ok();
            let why = read.as_ref().err().map(|error| error.json(&held.name));
            let warning = read.as_ref().ok().copied().flatten();
            let told = json!({ "name": held.name, "ok": ok, "why": why, "warning": warning });
            objects.push(told);
        } else if let Ok(warning) = &read {
            let kept = matches!(held.from, From::Agent { .. });
            let what = if kept { "its ssh-agent has it" } else { "can be read" };
            text.push_str(&format!("{}: {what}\n", held.name));
            if let Some(warning) = warning {
                text.push_str(&format!("  warning  {warning}\n"));
            }
        }
        if let Err(error) = read {
            unread += 1;
            if !json {
                warn(&error.text(&held.name).replacen("not started", "cannot be read", 1));
            }
        }
    }
    if text.is_empty() && outside.secrets.is_empty() {
        text.push_str(&none(of));
    }
    let said = if json { say_json(&Value::Array(objects)) } else { say(&text) };
    status(said, if unread == 0 { 0 } else { UNREAD })
}

/// Whether it can be read and is what it is used as; and what is to be warned of all the same.
pub(super) fn tried(outside: &Outside, held: &Held) -> Result<Option<&'static str>, StartError> {
    let secret = secret::Secret::read(held, None)?;
    if secret.is_public() {
        return Ok(None);
    }
    let hidden = secret.hidden()?;
    if placed(outside, held).next().is_some() {
        sandbox::stands(&held.name, secret.line())?;
    }
    let signs = outside.egress.iter().any(|plan| !signed(plan, Some(held)).is_empty());
    if signs {
        private::look(secret.line()).map_err(|error| {
            let what = format!("{} {error}", held.name);
            StartError::found("secret", what).with_remedy(error.remedy())
        })?;
    }
    Ok(warning(secret.bytes(), &hidden))
}

const fn status(said: bool, status: u8) -> u8 {
    if said { status } else { NOT_SET_UP }
}
