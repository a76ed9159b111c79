//! git signs a commit with a private key that a profile names, which whoever knows the public one can tell, and the key
//! is not inside. Nothing else is signed with it: no text of another namespace, and no login.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::sshd::KEYGEN;
use sandboxd_integration::{By, Case, Inside, Need, Outside};
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;

pub(crate) const CASE: Case = Case {
    rows: &["N05", "N17"],
    needs: &[Need::Program(KEYGEN)],
    seconds: 120,
    outside,
    probes: &[("login", login)],
    by: By::Anybody,
};

/// Of the unit tests: an ordinary user without a name has no ssh-keygen.
const KEY: &str = include_str!("../../egress/src/ssh/vectors/ed25519.key");
const PUBLIC: &str = include_str!("../../egress/src/ssh/vectors/ed25519.pub");

const WHO: &str = "agent@example.com";

fn outside(outside: &Outside) -> Result<()> {
    let file = outside.dir().join("signing");
    fs::write(&file, KEY)?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o400))?;
    let workspace = outside.workspace()?;
    let profile = format!(
        "extends = [\"builtin:coding-agent\"]\n[network]\nmode = \"egress\"\n\
         egress = [\"tcp://host.internal:9\"]\n\
         [secrets.signing]\nfrom = \"file:{}\"\nssh = {{ sign = [\"git\"] }}\n",
        file.display(),
    );
    let sandbox = || outside.sandbox(&profile).cwd(&workspace);
    let line = format!(
        "set -e; git init -q work; cd work; echo said > file; git add file; ssh-add -L > ../key.pub; \
         git -c user.name=agent -c user.email={WHO} -c gpg.format=ssh \
         -c user.signingkey=../key.pub commit -q -S -m first"
    );
    let run = sandbox().command(&["sh", "-c", &line]).run()?;
    run.exited(0)?;
    // By somebody who has the public half alone.
    outside.file("ws/signers", &format!("{WHO} {PUBLIC}"))?;
    let verify = "git -C work -c gpg.ssh.allowedSignersFile=../signers verify-commit HEAD";
    let verify = outside
        .sandbox("extends = [\"builtin:coding-agent\"]\n")
        .cwd(&workspace)
        .command(&["sh", "-c", verify]);
    let verified = verify.run()?;
    verified.exited(0)?;
    ensure!(verified.stderr.contains("Good \"git\" signature"), "{}", verified.stderr);
    let other = "ssh-keygen -Y sign -n file -f key.pub < /etc/hostname";
    let run = sandbox().command(&["sh", "-c", other]).run()?;
    ensure!(!run.stdout.contains("BEGIN"), "it signed a file: {}", run.stdout);
    ensure!(run.stderr.contains("a namespace that is not named"), "{}", run.stderr);
    let run = sandbox().probe("login", &[]).run()?;
    run.exited(0)?;
    ensure!(run.fact("answer")? == "5", "a login was answered {}", run.fact("answer")?);
    let result = run.result.as_ref().context("no result")?;
    ensure!(result.to_string().contains("did not say for which session"), "{result}");
    Ok(())
}

fn string(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap_or(0).to_be_bytes();
    [&length[..], bytes].concat()
}

/// Asks for a login, as a client does that says nothing of its session.
fn login(inside: &Inside) -> Result<()> {
    let mut agent = UnixStream::connect(std::env::var("SSH_AUTH_SOCK").context("no agent")?)?;
    let mut ask = |message: &[u8]| -> Result<Vec<u8>> {
        agent.write_all(&string(message))?;
        let mut length = [0; 4];
        agent.read_exact(&mut length)?;
        let mut answer = vec![0; usize::try_from(u32::from_be_bytes(length))?];
        agent.read_exact(&mut answer)?;
        Ok(answer)
    };
    let keys = ask(&[11])?;
    // One key, of 51 bytes.
    let key = keys.get(9..60).context("no key")?;
    let words = [&b"git"[..], b"ssh-connection", b"publickey"].map(string).concat();
    let asked = [string(b"ssh-ed25519"), string(key)].concat();
    let data = [string(&[7; 32]), vec![50], words, vec![1], asked].concat();
    let answer = ask(&[vec![13], string(key), string(&data), vec![0; 4]].concat())?;
    inside.fact("answer", &answer.first().copied().unwrap_or(0).to_string());
    Ok(())
}
