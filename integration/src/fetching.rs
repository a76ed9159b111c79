//! What programs that people have fetch from the hosts of `hosts/serve.py`, without being changed for it.

use crate::Need;
use crate::world::IP;

/// The Python of the clients, where `.ci/run` makes it.
pub const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/clients/venv/bin/python3");

/// What a case needs for all of them.
pub const NEEDS: &[Need] = &[
    Need::Program(IP),
    Need::Program("/usr/bin/openssl"),
    Need::Program("/usr/bin/curl"),
    Need::Program("/usr/bin/wget"),
    Need::Program("/usr/bin/node"),
    Need::Program("/usr/bin/npm"),
    Need::Home(".cargo/bin/cargo"),
    Need::Path(PYTHON),
];

/// A program, what it does, and the words that it has then got.
pub type Fetching = (&'static str, &'static str, &'static str);

/// In a shell, in a folder with [`MANIFEST`] as `Cargo.manifest`, where `VENV` is [`PYTHON`].
pub const PROGRAMS: [Fetching; 8] = [
    ("curl", "curl -sSf https://api.example/tidings", "from api"),
    (
        "wget",
        "wget -qO- --ca-certificate=\"$SSL_CERT_FILE\" https://api.example/tidings",
        "from api",
    ),
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

/// Node's own client, which heeds no variable that names a proxy before version 22.21.
pub const NODE: Fetching = (
    "Node",
    "node -e 'fetch(\"https://api.example/tidings\").then(r => r.text()).then(console.log)'",
    "from api",
);

/// What cargo fetches.
pub const MANIFEST: &str = "[package]\nname = \"here\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\
    [dependencies]\ntidings = { version = \"1\", registry-index = \"sparse+https://crates.example/index/\" }\n";
