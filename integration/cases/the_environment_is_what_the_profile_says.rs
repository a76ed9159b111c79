//! The command's environment holds what the profile names and a few words about the sandbox itself,
//! and nothing else of the caller's: no secret, no library to load, no search path.

use anyhow::{Result, ensure};
use sandboxd_integration::{By, Case, Inside, Outside};
use std::collections::BTreeMap;
use std::fs;

pub(crate) const CASE: Case = Case {
    rows: &["I01", "V06", "E26"],
    outside,
    probes: &[("look", look)],
    by: By::Anybody,
    ..Case::NEW
};

/// What callers have in their environment: secrets, and what changes how programs load and search.
const CALLERS: &[&str] = &[
    "AWS_SECRET_ACCESS_KEY",
    "ANTHROPIC_API_KEY",
    "GITHUB_TOKEN",
    "SSH_AUTH_SOCK",
    "SSH_CONNECTION",
    "DBUS_SESSION_BUS_ADDRESS",
    "XDG_RUNTIME_DIR",
    "DISPLAY",
    // Of a service of somebody else's: its manager waits for no word of ours.
    "SYSTEMD_EXEC_PID",
    "NOTIFY_SOCKET",
    "SUDO_USER",
    "LD_PRELOAD",
    "LD_AUDIT",
    "LD_DEBUG_OUTPUT",
    "GCONV_PATH",
    "LOCPATH",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "NODE_OPTIONS",
    "PERL5LIB",
    "RUBYOPT",
    "BASH_ENV",
    "ENV",
    "GIT_DIR",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_PARAMETERS",
    "SANDBOXD_TEST",
    "WITHHELD",
];

/// What the product says of the sandbox itself, and `[env] pass` of builtin:base.
const OWN: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "TMPDIR",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_CTYPE",
    "TERM",
    "COLORTERM",
    "NO_COLOR",
    "TZ",
];

fn outside(outside: &Outside) -> Result<()> {
    let canary = outside.canary("secret")?;
    let secret = canary.secret();
    let profile = "extends = [\"builtin:base\"]\n[env]\npass = [\"PASSED\", \"MISSING\"]\n\
                   set = { MADE = \"by the profile\", PYTHONPATH = \"/tmp\" }\n";
    let mut sandbox = outside.sandbox(profile).probe("look", &[]).env("PASSED", "by the caller");
    for name in CALLERS {
        // The loader complains by name of what it does not find, before sandboxd runs.
        let value = if name.starts_with("LD_") { "/no/such/library" } else { secret };
        sandbox = sandbox.env(name, value);
    }
    let run = sandbox.run()?;
    run.ran()?.keeps(&canary)?;
    let found: BTreeMap<String, String> = serde_json::from_str(run.fact("environment")?)?;
    let value = |name: &str| found.get(name).map(String::as_str);
    ensure!(value("PASSED") == Some("by the caller"), "PASSED is {:?}", value("PASSED"));
    ensure!(value("MADE") == Some("by the profile"), "MADE is {:?}", value("MADE"));
    ensure!(value("PYTHONPATH") == Some("/tmp"), "PYTHONPATH is {:?}", value("PYTHONPATH"));
    ensure!(value("HOME") != Some("/root"), "HOME is the caller's");
    let named = ["PASSED", "MADE", "PYTHONPATH"];
    let others: Vec<_> = found
        .keys()
        .filter(|name| !OWN.contains(&name.as_str()) && !named.contains(&name.as_str()))
        .collect();
    ensure!(others.is_empty(), "nobody named {others:?}");
    // The block of memory that the kernel filled holds the same.
    ensure!(run.fact("block")? == found.len().to_string(), "{} in the block", run.fact("block")?);
    Ok(())
}

fn look(inside: &Inside) -> Result<()> {
    let found: BTreeMap<String, String> = std::env::vars().collect();
    inside.fact("environment", &serde_json::to_string(&found)?);
    let block = fs::read("/proc/self/environ")?;
    inside.fact("raw", &String::from_utf8_lossy(&block));
    let count = block.split(|byte| *byte == 0).filter(|entry| !entry.is_empty()).count();
    inside.fact("block", &count.to_string());
    Ok(())
}
