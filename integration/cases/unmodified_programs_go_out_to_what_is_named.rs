//! curl, wget, Python, Node, pip, npm, git and cargo fetch over TLS from the hosts that a profile names,
//! none of them changed or told of a proxy; from another they fetch nothing, and it is said.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::hosts::Serving;
use sandboxd_integration::world::{IP, World};
use sandboxd_integration::{Case, Need, Outside};
use std::net::Ipv4Addr;
use std::path::Path;

/// Where `.ci/run` makes it.
const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/clients/venv/bin/python3");
const SOMEWHERE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);

pub(crate) const CASE: Case = Case {
    rows: &["N17", "P22"],
    needs: &[
        Need::Program(IP),
        Need::Program("/usr/bin/openssl"),
        Need::Program("/usr/bin/curl"),
        Need::Program("/usr/bin/wget"),
        Need::Program("/usr/bin/node"),
        Need::Program("/usr/bin/npm"),
        Need::Home(".cargo/bin/cargo"),
        Need::Path(PYTHON),
    ],
    seconds: 240,
    outside,
    ..Case::NEW
};

/// Each of them, what it does, and the words that it has then got.
const PROGRAMS: [(&str, &str, &str); 9] = [
    ("curl", "curl -sSf https://api.example/tidings", "from api"),
    ("wget", "wget -qO- --ca-certificate=\"$SSL_CERT_FILE\" https://api.example/tidings", "from api"),
    (
        "Python",
        "python3 -c 'import urllib.request as r; print(r.urlopen(\"https://api.example/tidings\").read())'",
        "from api",
    ),
    (
        "requests",
        "\"$VENV\" -c 'from pip._vendor import requests; print(requests.get(\"https://api.example/tidings\").text)'",
        "from api",
    ),
    (
        "Node",
        "node -e 'fetch(\"https://api.example/tidings\").then(r => r.text()).then(console.log)'",
        "from api",
    ),
    (
        "pip",
        "\"$VENV\" -m pip install -q --disable-pip-version-check --no-cache-dir --index-url https://pypi.example/simple --target pip tidings && cat pip/tidings.py",
        "from pypi",
    ),
    (
        "npm",
        "mkdir npm && cd npm && npm install --no-audit --no-fund --loglevel=error --registry https://npm.example tidings && cat node_modules/tidings/index.js",
        "from npm",
    ),
    ("git", "git clone -q https://git.example/tidings.git git && cat git/README", "from git"),
    (
        "cargo",
        "mkdir -p cargo/src && cd cargo && : > src/lib.rs && cp ../Cargo.manifest Cargo.toml && export CARGO_HOME=$PWD/home && cargo fetch -q && cat home/registry/src/*/tidings-1.0.0/src/lib.rs",
        "from crates",
    ),
];

const MANIFEST: &str = "[package]\nname = \"here\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\
    [dependencies]\ntidings = { version = \"1\", registry-index = \"sparse+https://crates.example/index/\" }\n";

fn outside(outside: &Outside) -> Result<()> {
    let names = ["api", "pypi", "npm", "git", "crates", "evil"].map(|name| format!("{name}.example"));
    let hosts: Vec<(&str, Ipv4Addr)> =
        names.iter().map(|name| (name.as_str(), SOMEWHERE)).collect();
    let _world = World::enter(outside, &hosts)?;
    let folder = outside.dir().join("hosts");
    let address = SOMEWHERE.to_string();
    let _serving = Serving::begin("serve.py", &[folder.as_os_str(), address.as_ref()])?.ready()?;
    let workspace = outside.workspace()?;
    outside.file("ws/Cargo.manifest", MANIFEST)?;
    let authority = outside.file("authority/ca.pem", &std::fs::read_to_string(folder.join("ca.pem"))?)?;
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
    for (name, line, wanted) in PROGRAMS {
        let run = outside.sandbox(&profile).cwd(&workspace).command(&["sh", "-c", line]).run()?;
        run.exited(0).with_context(|| name)?;
        ensure!(run.stdout.contains(wanted), "{name} got {:?}, {}", run.stdout, run.stderr);
    }
    let elsewhere = "curl -sSf https://evil.example/tidings; \
        curl -sSf --connect-to evil.example:443:api.example:443 https://evil.example/tidings; \
        curl -sSfk -H 'Host: evil.example' https://203.0.113.7/tidings";
    let run = outside.sandbox(&profile).cwd(&workspace).command(&["sh", "-c", elsewhere]).run()?;
    ensure!(!run.stdout.contains("tidings"), "it went elsewhere: {}", run.stdout);
    for told in ["evil.example: no rule names it", "named in the TLS hello is another", "203.0.113.7:443"] {
        ensure!(run.stderr.contains(told), "{told:?} is not said: {}", run.stderr);
    }
    Ok(())
}
