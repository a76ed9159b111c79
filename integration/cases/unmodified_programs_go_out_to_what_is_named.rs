//! curl, wget, Python, Node, pip, npm, git and cargo fetch over TLS from the hosts that a profile names,
//! none of them changed or told of a proxy; from another they fetch nothing, and it is said.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::fetching::{MANIFEST, NEEDS, NODE, PROGRAMS, PYTHON};
use sandboxd_integration::hosts::Serving;
use sandboxd_integration::world::World;
use sandboxd_integration::{Case, Outside};
use std::net::Ipv4Addr;
use std::path::Path;

const SOMEWHERE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);

pub(crate) const CASE: Case =
    Case { rows: &["N17", "P22"], needs: NEEDS, seconds: 240, outside, ..Case::NEW };

fn outside(outside: &Outside) -> Result<()> {
    let names =
        ["api", "pypi", "npm", "git", "crates", "evil"].map(|name| format!("{name}.example"));
    let hosts: Vec<(&str, Ipv4Addr)> =
        names.iter().map(|name| (name.as_str(), SOMEWHERE)).collect();
    let _world = World::enter(outside, &hosts)?;
    let folder = outside.dir().join("hosts");
    let address = SOMEWHERE.to_string();
    let _serving = Serving::begin("serve.py", &[folder.as_os_str(), address.as_ref()])?.ready()?;
    let workspace = outside.workspace()?;
    outside.file("ws/Cargo.manifest", MANIFEST)?;
    let authority =
        outside.file("authority/ca.pem", &std::fs::read_to_string(folder.join("ca.pem"))?)?;
    let clients = Path::new(PYTHON).ancestors().nth(3).context("no folder")?.canonicalize()?;
    let egress: Vec<String> = names
        .iter()
        .filter(|name| *name != "evil.example")
        .map(|name| format!("{{ to = \"{name}:443\", within = [\"203.0.113.7/32\"] }}"))
        .collect();
    let variables: Vec<String> = [
        "CARGO_HTTP_CAINFO",
        "CURL_CA_BUNDLE",
        "GIT_SSL_CAINFO",
        "NODE_EXTRA_CA_CERTS",
        "NPM_CONFIG_CAFILE",
        "PIP_CERT",
        "REQUESTS_CA_BUNDLE",
        "SSL_CERT_FILE",
    ]
    .iter()
    .map(|name| format!("{name} = {authority:?}"))
    .collect();
    let profile = format!(
        "extends = [\"builtin:coding-agent\"]\n[env]\nset = {{ {}, VENV = {:?} }}\n\
         [files]\nread = [{authority:?}]\nexecute = [{clients:?}]\n\
         [network]\nmode = \"egress\"\negress = [{}]\n",
        variables.join(", "),
        clients.join("venv/bin/python3"),
        egress.join(", "),
    );
    for (name, line, wanted) in PROGRAMS.into_iter().chain([NODE]) {
        let run = outside.sandbox(&profile).cwd(&workspace).command(&["sh", "-c", line]).run()?;
        run.exited(0).with_context(|| name)?;
        ensure!(run.stdout.contains(wanted), "{name} got {:?}, {}", run.stdout, run.stderr);
    }
    let elsewhere = "curl -sSf https://evil.example/tidings; \
        curl -sSf --connect-to evil.example:443:api.example:443 https://evil.example/tidings; \
        curl -sSfk -H 'Host: evil.example' https://203.0.113.7/tidings";
    let run = outside.sandbox(&profile).cwd(&workspace).command(&["sh", "-c", elsewhere]).run()?;
    ensure!(!run.stdout.contains("tidings"), "it went elsewhere: {}", run.stdout);
    for told in
        ["evil.example: no rule names it", "the TLS hello names another server", "203.0.113.7:443"]
    {
        ensure!(run.stderr.contains(told), "{told:?} is not said: {}", run.stderr);
    }
    Ok(())
}
