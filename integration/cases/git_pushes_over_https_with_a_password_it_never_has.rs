//! git clones and pushes over https at a host that wants a password, which is put into its requests: it is asked for
//! none, needs no helper, and what it says in the place of it does not arrive. Without the secret it is let in
//! nowhere.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::hosts::Serving;
use sandboxd_integration::world::{IP, World};
use sandboxd_integration::{Case, Need, Outside, Run};
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

const SOMEWHERE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);
const PASSWORD: &str = "ghp-hunter2-0123456789";

pub(crate) const CASE: Case = Case {
    rows: &["N17"],
    needs: &[
        Need::Program(IP),
        Need::Program("/usr/bin/openssl"),
        Need::Program("/usr/bin/python3"),
    ],
    seconds: 240,
    outside,
    ..Case::NEW
};

/// How git is started, and as whom it would log in by itself.
const WAYS: [(&str, &str, &str); 4] = [
    ("as it is", "", "https://git.example"),
    ("with a name and password of its own", "", "https://mine:mine@git.example"),
    (
        "with a helper that says anything",
        "-c credential.helper='!f() { echo username=mine; echo password=mine; }; f'",
        "https://git.example",
    ),
    // The others wait until they are asked, which they never are.
    (
        "with a password that it says unasked",
        "-c http.extraHeader='Authorization: Basic bWluZTptaW5l'",
        "https://git.example",
    ),
];

fn outside(outside: &Outside) -> Result<()> {
    let mut world = World::enter(outside, &[("git.example", SOMEWHERE)])?;
    let folder = outside.dir().join("host");
    let address = SOMEWHERE.to_string();
    let words = [folder.as_os_str(), address.as_ref(), PASSWORD.as_ref(), "git.example".as_ref()];
    let _serving = Serving::begin("wants_a_password.py", &words)?.ready()?;
    world.trust(outside, &folder.join("ca.pem"))?;
    let key = outside.dir().join("key");
    fs::write(&key, format!("{PASSWORD}\n"))?;
    fs::set_permissions(&key, fs::Permissions::from_mode(0o400))?;
    let network = "extends = [\"builtin:coding-agent\"]\n[network]\nmode = \"egress\"\n\
                   egress = [{ to = \"git.example:443\", within = [\"203.0.113.0/24\"] }]\n";
    let secret = format!(
        "[secrets.forge]\nfrom = \"file:{}\"\n\
         inject = {{ host = \"git.example\", basic = \"agent\" }}\n",
        key.display(),
    );
    let workspace = outside.workspace()?;
    let says = |profile: &str, line: &str| -> Result<Run> {
        outside.sandbox(profile).cwd(&workspace).command(&["sh", "-c", line]).run()
    };
    let none = says(network, "git clone https://git.example/repository.git none </dev/null")?;
    ensure!(none.exit() != Some(0), "it was let in without a password: {}", none.stderr);
    ensure!(fs::read_to_string(folder.join("asked"))?.contains("[]"), "nobody asked");
    for (number, (what, options, at)) in WAYS.into_iter().enumerate() {
        fs::write(folder.join("asked"), "")?;
        let line = format!(
            "set -e; git {options} clone -q {at}/repository.git w{number}; cd w{number}; \
             echo said > file{number}; git add .; \
             git -c user.name=agent -c user.email=agent@example.com commit -q -m more; \
             git {options} push -q origin HEAD:main"
        );
        let run = says(&[network, &secret].concat(), &line)?;
        run.exited(0).with_context(|| what)?;
        let said = format!("{}{}", run.stdout, run.stderr);
        ensure!(!said.contains("hunter2"), "{what}: it was told: {said}");
        let asked = fs::read_to_string(folder.join("asked"))?;
        ensure!(asked.contains("git-receive-pack"), "{what}: nothing was pushed: {asked}");
        let known = asked.lines().all(|line| line.ends_with(" known"));
        ensure!(known, "{what}: something else arrived: {asked}");
        let pushed = Command::new("git")
            .args(["-c", "safe.directory=*", "--git-dir"])
            .arg(folder.join("repository.git"))
            .args(["show", &format!("main:file{number}")])
            .output()?;
        ensure!(pushed.stdout == b"said\n", "{}", String::from_utf8_lossy(&pushed.stderr));
    }
    let grep = Command::new("/usr/bin/grep").args(["-rlsF", PASSWORD]).arg(&workspace).output()?;
    let found = String::from_utf8(grep.stdout)?;
    ensure!(found.is_empty(), "{found} has it");
    Ok(())
}
