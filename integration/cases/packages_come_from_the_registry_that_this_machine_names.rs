//! pip and npm, unmodified, fetch a package from the registries that this machine's own configuration names, over a
//! network that no case made. Whom a registry asks beside itself is learnt as anybody would: from what was not let
//! out.

use anyhow::{Context as _, Result, bail, ensure};
use sandboxd_integration::fetching::PYTHON;
use sandboxd_integration::{Case, Need, Outside, Run};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, ToSocketAddrs as _};
use std::path::Path;
use std::process::Command;

/// What is asked outside, before: whether there is a registry.
const PIP: &[&str] = &[
    PYTHON,
    "-m",
    "pip",
    "-q",
    "install",
    "--dry-run",
    "--ignore-installed",
    "--no-deps",
    "--retries",
    "0",
    "six",
];
const NPM: &[&str] = &["/usr/bin/npm", "view", "is-number", "version", "--fetch-retries=0"];

pub(crate) const CASE: Case = Case {
    rows: &["P22"],
    needs: &[
        Need::Path(PYTHON),
        Need::Program("/usr/bin/npm"),
        Need::Registry(PIP),
        Need::Registry(NPM),
    ],
    seconds: 600,
    outside,
    ..Case::NEW
};

/// So often it may be learnt that another host is needed.
const ROUNDS: usize = 6;

fn outside(outside: &Outside) -> Result<()> {
    let clients = Path::new(PYTHON).ancestors().nth(3).context("no folder")?.canonicalize()?;
    let python = clients.join("venv/bin/python3");
    let pip = format!(
        "timeout 60 {} -m pip -q download --retries 0 --no-deps --no-cache-dir -d got six && ls got",
        python.display()
    );
    let npm = format!(
        "timeout 60 npm pack --fetch-retries=0 --cache $PWD/cache --registry {} is-number && ls",
        said(&["/usr/bin/npm", "config", "get", "registry"])?.trim()
    );
    for (line, wanted, asks) in [(pip, "six-", PIP), (npm, "is-number-", NPM)] {
        let run = fetched(outside, &line, &clients)?;
        if run.exit() == Some(0) {
            ensure!(run.stdout.contains(wanted), "{line}: {}", run.stdout);
        } else if run.exit() == Some(124) || Need::Registry(asks).unmet().is_some() {
            outside.not_run(&format!("{wanted}: the registry does not answer any more, or slowly"));
        } else {
            bail!("{line}: {}\n{}", run.status, run.stderr);
        }
    }
    Ok(())
}

/// Runs it, each time let out to the hosts that it was refused before.
fn fetched(outside: &Outside, line: &str, clients: &Path) -> Result<Run> {
    let mut hosts = BTreeSet::new();
    for _ in 0..ROUNDS {
        let run = outside
            .sandbox(&profile(&hosts, clients)?)
            .cwd(&outside.workspace()?)
            .command(&["sh", "-c", line])
            .run()?;
        let known = hosts.len();
        hosts.extend(refused(&run));
        if run.exit() == Some(0) || hosts.len() == known {
            return Ok(run);
        }
    }
    bail!("it asks for ever more hosts: {hosts:?}")
}

/// The hosts that it was not let out to, each with the port where one was told.
fn refused(run: &Run) -> Vec<String> {
    let refused = run.result.as_ref().and_then(|result| result.pointer("/egress/refused"));
    let refused = refused.and_then(Value::as_array).into_iter().flatten();
    refused.filter_map(|one| one.get("to")?.as_str()).map(str::to_owned).collect()
}

fn profile(hosts: &BTreeSet<String>, clients: &Path) -> Result<String> {
    // Nobody; an empty list is refused.
    let mut egress = vec![String::from("\"nobody.invalid:443\"")];
    for host in hosts {
        // A name that was only looked up tells no port; one that is not that of TLS is told next.
        let (name, to) = match host.split_once(':') {
            Some((name, _)) => (name, format!("tcp://{host}")),
            None => (host.as_str(), format!("{host}:443")),
        };
        // A registry may be this network's own.
        let addresses = (name, 443).to_socket_addrs().into_iter().flatten();
        let within: BTreeSet<String> = addresses.map(|address| one(address.ip())).collect();
        let within: Vec<String> = within.into_iter().collect();
        egress.push(match within.is_empty() {
            true => format!("\"{to}\""),
            false => format!("{{ to = \"{to}\", within = [{}] }}", within.join(", ")),
        });
    }
    Ok(format!(
        "extends = [\"builtin:coding-agent\"]\n[env]\nset = {{ {} }}\n[files]\nexecute = [{clients:?}]\n\
         [network]\nmode = \"egress\"\negress = [{}]\n",
        settings()?.join(", "),
        egress.join(", "),
    ))
}

/// The network that is this address alone.
fn one(address: IpAddr) -> String {
    format!("\"{address}/{}\"", if address.is_ipv4() { 32 } else { 128 })
}

/// What pip and Node are told here of registries and of whom to trust, as variables.
fn settings() -> Result<Vec<String>> {
    // Those of the environment come first and count.
    let mut settings = BTreeMap::new();
    for line in said(&[PYTHON, "-m", "pip", "config", "list"])?.lines() {
        let Some((key, value)) = line.split_once('=') else { continue };
        let key = key.rsplit('.').next().unwrap_or_default();
        if ["index-url", "extra-index-url", "trusted-host", "cert"].contains(&key) {
            let name = key.replace('-', "_").to_uppercase();
            settings.entry(format!("PIP_{name}")).or_insert(value.trim_matches('\'').to_owned());
        }
    }
    if let Ok(path) = std::env::var("NODE_EXTRA_CA_CERTS") {
        settings.insert(String::from("NODE_EXTRA_CA_CERTS"), path);
    }
    Ok(settings.into_iter().map(|(name, value)| format!("{name} = {value:?}")).collect())
}

fn said(words: &[&str]) -> Result<String> {
    let (program, arguments) = words.split_first().context("no program")?;
    let output = Command::new(program).args(arguments).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
