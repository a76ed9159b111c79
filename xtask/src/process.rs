//! Starting other programs, and saying which one failed.

use anyhow::{Context as _, Result, bail, ensure};
use std::{
    env,
    ffi::OsString,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
};

/// Our own target triple: the only one there is.
pub(crate) const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The cargo that runs this program, started in `folder`.
pub(crate) fn cargo(folder: &Path) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    command.current_dir(folder);
    // What cargo told this program of its package is looked at by build scripts of crates from outside:
    // with it, they and all that links them are built anew whenever cargo is started by hand in between.
    for (name, _) in env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"CARGO_PKG_")
            || name.as_encoded_bytes().starts_with(b"CARGO_MANIFEST_")
        {
            command.env_remove(name);
        }
    }
    command
}

/// Runs to the end, with this terminal.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {}", shown(command)))?;
    ensure!(status.success(), "{status}: {}", shown(command));
    Ok(())
}

/// Runs to the end and returns what was written to stdout; stderr goes to this terminal.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start {}", shown(command)))?;
    ensure!(output.status.success(), "{}: {}", output.status, shown(command));
    String::from_utf8(output.stdout).with_context(|| format!("not text: {}", shown(command)))
}

/// Runs to the end, gives every line of stdout to `line` as it comes, and says whether the exit
/// status was 0.
pub(crate) fn lines(command: &mut Command, mut line: impl FnMut(&str)) -> Result<bool> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", shown(command)))?;
    let Some(stdout) = child.stdout.take() else { bail!("no stdout: {}", shown(command)) };
    for read in BufReader::new(stdout).split(b'\n') {
        line(&String::from_utf8_lossy(&read?));
    }
    Ok(child.wait()?.success())
}

/// The command as one would type it.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let mut words = vec![program.to_string_lossy()];
    words.extend(command.get_args().map(|word| word.to_string_lossy()));
    words.join(" ")
}
