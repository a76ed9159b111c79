//! Where a profile has the proxy as its way, curl, wget, Python, pip, npm, git and cargo find it in the
//! variables that they all read, with no change of theirs, and go out by it to what is named, a secret put in
//! for them and covered in what comes back; from another host they get nothing. Where both ways are open,
//! those that know the proxy ask it, and the others are led. The receipt and the records say by which.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::fetching::{Fetching, MANIFEST, NEEDS, NODE, PROGRAMS, PYTHON};
use sandboxd_integration::hosts::Serving;
use sandboxd_integration::world::World;
use sandboxd_integration::{Case, Outside, Run};
use serde_json::Value;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

const SOMEWHERE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);
/// Those that want a key.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 8);
const KEY: &str = "sk-hunter2-0123456789/abcdefgh";

pub(crate) const CASE: Case =
    Case { rows: &["N17", "P22"], needs: NEEDS, seconds: 240, outside, ..Case::NEW };

/// Those that are told of the proxy by hand.
const SOCKS: [Fetching; 2] = [
    ("SOCKS", "curl -sSf -x socks5h://127.0.0.1:3128 https://api.example/tidings", "from api"),
    (
        "SOCKS to an address",
        "curl -sSf -x socks5://127.0.0.1:3128 https://api.example/tidings",
        "from api",
    ),
];

fn outside(outside: &Outside) -> Result<()> {
    let names =
        ["api", "pypi", "npm", "git", "crates", "evil"].map(|name| format!("{name}.example"));
    let mut hosts: Vec<(&str, Ipv4Addr)> =
        names.iter().map(|name| (name.as_str(), SOMEWHERE)).collect();
    hosts.push(("keyed.example", ELSEWHERE));
    let mut world = World::enter(outside, &hosts)?;
    let (folder, keyed) = (outside.dir().join("hosts"), outside.dir().join("keyed"));
    let address = SOMEWHERE.to_string();
    let _serving = Serving::begin("serve.py", &[folder.as_os_str(), address.as_ref()])?.ready()?;
    let address = ELSEWHERE.to_string();
    let own = [keyed.as_os_str(), address.as_ref(), KEY.as_ref(), "keyed.example".as_ref()];
    let _keyed = Serving::begin("wants_a_key.py", &own)?.ready()?;
    // The machine trusts both, and so does the bundle inside.
    let both = format!(
        "{}\n{}",
        std::fs::read_to_string(folder.join("ca.pem"))?,
        std::fs::read_to_string(keyed.join("ca.pem"))?,
    );
    let authorities = outside.file("authorities.pem", &both)?;
    world.trust(outside, &authorities)?;
    let workspace = outside.workspace()?;
    outside.file("ws/Cargo.manifest", MANIFEST)?;
    let profile = |way: &str| profile(outside, &names, way);
    let proxied = profile("proxy")?;
    let says = |profile: &str, line: &str| {
        outside.sandbox(profile).cwd(&workspace).command(&["sh", "-c", line]).run()
    };
    for (name, line, wanted) in PROGRAMS.into_iter().chain(SOCKS) {
        let run = says(&proxied, line)?;
        run.exited(0).with_context(|| name)?;
        ensure!(run.stdout.contains(wanted), "{name} got {:?}, {}", run.stdout, run.stderr);
        is_by(&run, "proxy")?;
    }
    let run = says(&proxied, "curl -sSf https://keyed.example/v1/tidings")?;
    run.exited(0)?;
    ensure!(run.stdout.contains("Bearer ****") && !run.stdout.contains(KEY), "{}", run.stdout);
    let elsewhere = "curl -sS https://evil.example/tidings; curl -sS http://evil.example/tidings; \
        curl -sS -x socks5h://127.0.0.1:3128 https://evil.example/tidings; \
        curl -sS --connect-to evil.example:443:api.example:443 https://evil.example/tidings; \
        curl -sS --noproxy '*' https://api.example/tidings";
    let run = says(&proxied, elsewhere)?;
    ensure!(!run.stdout.contains("tidings"), "it went elsewhere: {}", run.stdout);
    for told in ["evil.example:443: no rule names it", "the TLS hello names another server"] {
        ensure!(run.stderr.contains(told), "{told:?} is not said: {}", run.stderr);
    }
    ensure!(ways(outside)? == [true, false], "a connection came by another way than the proxy");

    let both = profile("both")?;
    for (name, line, wanted) in [PROGRAMS[0], NODE] {
        let run = says(&both, line)?;
        run.exited(0).with_context(|| name)?;
        ensure!(run.stdout.contains(wanted), "{name} got {:?}, {}", run.stdout, run.stderr);
        is_by(&run, "both")?;
    }
    Ok(())
}

fn is_by(run: &Run, way: &str) -> Result<()> {
    let receipt = run.receipt.as_ref().context("no receipt")?;
    ensure!(receipt.pointer("/egress/by").is_some_and(|by| by == way), "the receipt: {receipt}");
    Ok(())
}

/// Whether any record is of a connection by the proxy, and of one that was led.
fn ways(outside: &Outside) -> Result<[bool; 2]> {
    let records = outside.records()?;
    let by = |way| records.iter().any(|one| one.pointer("/result/way") == Some(&Value::from(way)));
    Ok([by("proxy"), by("redirect")])
}

fn profile(outside: &Outside, names: &[String], way: &str) -> Result<String> {
    let clients = Path::new(PYTHON).ancestors().nth(3).context("no folder")?.canonicalize()?;
    let named = names.iter().map(String::as_str).filter(|name| *name != "evil.example");
    let egress: Vec<String> = named
        .chain(["keyed.example"])
        .map(|name| format!("{{ to = \"{name}:443\", within = [\"203.0.113.0/24\"] }}"))
        .collect();
    let key = outside.dir().join("key");
    std::fs::write(&key, KEY)?;
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o400))?;
    Ok(format!(
        "extends = [\"builtin:coding-agent\"]\n[env]\nset = {{ VENV = {:?} }}\n\
         [files]\nexecute = [{clients:?}]\n\
         [network]\nmode = \"egress\"\nway = \"{way}\"\negress = [{}]\n\
         [secrets.model]\nfrom = \"file:{}\"\n\
         inject = {{ host = \"keyed.example\", header = \"Authorization\", format = \"Bearer {{}}\" }}\n",
        clients.join("venv/bin/python3"),
        egress.join(", "),
        key.display(),
    ))
}
