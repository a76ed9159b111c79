//! What unmodified ssh and git do with a key that a profile names and that is not inside, and what they are refused.
//! `git.example` is named, `other.example` has the same keys and is not.

use crate::outside::Outside;
use crate::run::Run;
use crate::sshd::Sshd;
use anyhow::{Result, ensure};
use std::path::Path;
use std::process::Command;

/// Runs a line of a shell's, with a key of this kind.
pub type Says<'s> = &'s dyn Fn(&str, &str) -> Result<Run>;

/// Whoever would be asked is not there.
pub const NO_QUESTIONS: &str =
    "-o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null";

/// A profile with a key from there, whose hosts are known by what this file says.
#[must_use]
pub fn profile(from: &str, known: &Path) -> String {
    let near = ["git", "other"].map(|name| {
        format!("{{ to = \"tcp://{name}.example:22\", within = [\"203.0.113.0/24\"] }}")
    });
    format!(
        "name = \"agent\"\nextends = [\"builtin:coding-agent\"]\n\
         [network]\nmode = \"egress\"\negress = [{}]\n\
         [secrets.deploy]\nfrom = \"{from}\"\n\
         ssh = {{ hosts = [\"root@git.example\"], known_hosts = \"{}\", sign = [\"git\"] }}\n",
        near.join(", "),
        known.display(),
    )
}

const WHO: &str = "-c user.name=agent -c user.email=agent@example.com";

/// Clone, push, and a commit that is signed.
///
/// # Errors
/// Where one of them is refused, or nothing arrived.
pub fn work_with_git(outside: &Outside, says: Says<'_>) -> Result<()> {
    let repository = outside.dir().join("repository.git");
    let made = Command::new("git").args(["init", "-q", "--bare"]).arg(&repository).output()?;
    ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let at = repository.display();
    let line = format!(
        "set -e; git clone -q root@git.example:{at} work; cd work; echo said > file; git add file; \
         ssh-add -L > ../key.pub; \
         git {WHO} -c gpg.format=ssh -c user.signingkey=../key.pub commit -q -S -m first; \
         git push -q origin HEAD:main; git cat-file commit HEAD"
    );
    let run = says("ed25519", &line)?;
    run.exited(0)?;
    ensure!(run.stdout.contains("BEGIN SSH SIGNATURE"), "{}", run.stdout);
    let pushed = Command::new("git")
        .args(["-c", "safe.directory=*", "--git-dir"])
        .arg(&repository)
        .args(["show", "main:file"])
        .output()?;
    ensure!(pushed.stdout == b"said\n", "{}", String::from_utf8_lossy(&pushed.stderr));
    Ok(())
}

/// Each, what is tried, and what is said of it at the end of the run.
pub const ELSEWHERE: [(&str, &str, &str); 4] = [
    (
        "another host",
        "ssh OPTIONS root@other.example echo let in",
        "a session with a host whose key is not known",
    ),
    ("another user", "ssh OPTIONS daemon@git.example echo let in", "a user that is not named"),
    (
        "a forwarded agent",
        "ssh -A OPTIONS root@git.example 'ssh-add -L; ssh OPTIONS root@git.example echo let in'",
        "the agent is not forwarded",
    ),
    (
        "a text of another namespace",
        "ssh-add -L > key.pub; ssh-keygen -Y sign -n file -f key.pub < /etc/hostname | sed 's/BEGIN/let in/'",
        "a text of a namespace that is not named",
    ),
];

/// Each of them is refused, told, and did get as far as the other host.
///
/// # Errors
/// Where one is not.
pub fn are_refused_elsewhere(says: Says<'_>, other: &Sshd) -> Result<()> {
    for (what, line, why) in ELSEWHERE {
        let run = says("ed25519", &line.replace("OPTIONS", NO_QUESTIONS))?;
        ensure!(!run.stdout.contains("let in"), "{what}: {}", run.stdout);
        ensure!(!run.stdout.contains("ssh-ed25519"), "{what}: the key was shown: {}", run.stdout);
        ensure!(run.stderr.contains(why), "{what}: nobody was told {why:?}: {}", run.stderr);
    }
    let log = other.log();
    ensure!(log.contains("Connection from") || log.contains("Connection closed"), "{log}");
    ensure!(!log.contains("Accepted"), "the other host let somebody in: {log}");
    Ok(())
}
