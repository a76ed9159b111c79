//! A command whose output goes to a file can only add to it: what stood there before is neither read,
//! truncated nor overwritten, through its own descriptors or `/proc/self/fd`, and what comes out is
//! whole and in order. A file as standard input is only read, and a directory is not handed in.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{By, Case, Inside, Outside, raw};
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

pub(crate) const CASE: Case = Case {
    rows: &["F35", "F07", "R12", "T07"],
    outside,
    probes: &[("spoil", spoil)],
    by: By::Anybody,
    ..Case::NEW
};

const BEFORE: &str = "what stood here before\n";

fn outside(outside: &Outside) -> Result<()> {
    spoiled(outside)?;
    in_order(outside)?;
    no_directory(outside)
}

fn no_directory(outside: &Outside) -> Result<()> {
    let (profile, result) = (outside.dir().join("directory.toml"), outside.dir().join("result"));
    fs::write(&profile, "extends = [\"builtin:base\"]\n")?;
    for descriptor in ["0", "1", "2"] {
        let text = format!(
            "exec \"$0\" run -q -p {profile:?} --result-fd 9 \"$@\" -- /bin/true {descriptor}< /usr 9> {result:?}"
        );
        let mut sh = Command::new("/bin/sh");
        let run = sh.args(["-c", &text]).arg(product()?).args(outside.waivers());
        let run = run.env("XDG_STATE_HOME", outside.state()).output()?;
        ensure!(run.status.code() == Some(125), "a directory as {descriptor}: {}", run.status);
        // Where it is the output, nothing can be said there.
        let why = fs::read_to_string(&result)?;
        ensure!(why.contains("(EISDIR)"), "a directory as {descriptor}: {why}");
    }
    Ok(())
}

fn product() -> Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name("sandboxd"))
}

/// Runs the product by hand, with these three.
fn run(
    outside: &Outside,
    input: File,
    output: File,
    error: File,
    options: &[&str],
) -> Result<ExitStatus> {
    let profile = outside.dir().join("profile.toml");
    fs::write(&profile, "extends = [\"builtin:base\"]\n")?;
    let mut command = Command::new(product()?);
    command.args(["run", "-q", "-p"]).arg(profile).args(outside.waivers()).args(options);
    command.env("TMPDIR", outside.dir().join("tmp")).env("XDG_STATE_HOME", outside.state());
    command.stdin(input).stdout(output).stderr(error);
    command.status().context("sandboxd")
}

/// A file for everybody to write, so that its mode is not what keeps the command away.
fn open_for_all(path: &Path, append: bool) -> Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .append(append)
        .create(true)
        .truncate(false)
        .mode(0o666)
        .open(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o666))?;
    Ok(file)
}

fn spoiled(outside: &Outside) -> Result<()> {
    let folder = outside.dir().join("spoiled");
    fs::create_dir(&folder)?;
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755))?;
    for append in [false, true] {
        let paths = ["in", "out", "err"].map(|name| folder.join(name));
        for path in &paths {
            fs::write(path, BEFORE)?;
        }
        let [input, output, error] = &paths;
        let (mut given, mut last) = (open_for_all(output, append)?, open_for_all(error, append)?);
        given.seek(SeekFrom::End(0))?;
        last.seek(SeekFrom::End(0))?;
        let own = std::env::current_exe()?;
        let bind = format!("{}:/probe:execute", own.display());
        let case = "output_to_a_file_cannot_be_taken_back";
        let status = run(
            outside,
            open_for_all(input, false)?,
            given,
            last,
            &["--bind", &bind, "--", "/probe", "probe", case, "spoil"],
        )?;
        ensure!(status.success(), "the probe: {status}\n{}", fs::read_to_string(error)?);
        ensure!(fs::read_to_string(input)? == BEFORE, "the input was changed");
        for path in [output, error] {
            let text = fs::read_to_string(path)?;
            ensure!(text.starts_with(BEFORE), "{}: {text:?}", path.display());
            ensure!(text.contains("the last word"), "{}: {text:?}", path.display());
        }
        let told = fs::read_to_string(output)?;
        ensure!(!told.contains("taken"), "what stood there was read: {told}");
        let input = "{\"name\":\"input\",\"value\":\"what stood here before\"}";
        ensure!(told.contains(input), "the input was not read: {told}");
    }
    Ok(())
}

/// Of `>file 2>&1`, more than pipes hold.
fn in_order(outside: &Outside) -> Result<()> {
    let path = outside.dir().join("both");
    fs::write(&path, BEFORE)?;
    let mut output = OpenOptions::new().write(true).open(&path)?;
    output.seek(SeekFrom::End(0))?;
    let error = output.try_clone()?;
    let text = "i=0; while [ $i -lt 20000 ]; do echo out$i; echo err$i >&2; i=$((i+1)); done";
    let status =
        run(outside, File::open("/dev/null")?, output, error, &["--", "/bin/sh", "-c", text])?;
    ensure!(status.success(), "{status}");
    let written = fs::read_to_string(&path)?;
    let wanted: String = (0..20_000).map(|i| format!("out{i}\nerr{i}\n")).collect();
    ensure!(written == format!("{BEFORE}{wanted}"), "{} bytes, out of order", written.len());
    Ok(())
}

fn spoil(inside: &Inside) -> Result<()> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    inside.fact("input", text.trim());
    for number in 0..3_u8 {
        let place = format!("/proc/self/fd/{number}");
        for (how, options) in [
            ("read and write", OpenOptions::new().read(true).write(true)),
            ("truncate", OpenOptions::new().write(true).truncate(true)),
            ("write", OpenOptions::new().write(true)),
            ("read", OpenOptions::new().read(true)),
        ] {
            // A pipe opens, and must not be waited on.
            let opened = options.custom_flags(libc::O_NONBLOCK).open(&place);
            let Some(mut file) = inside.attempt(&format!("{number}: {how}"), opened) else {
                continue;
            };
            // A pipe gives back what this very probe wrote, which is nobody's loss but its own.
            let mut taken = [0; 64];
            if number > 0 && file.metadata()?.is_file() {
                let read = file.read(&mut taken)?;
                inside
                    .fact("taken", &String::from_utf8_lossy(taken.get(..read).unwrap_or_default()));
            }
            inside.attempt(&format!("{number}: {how}, cut"), file.set_len(0));
            inside.attempt(&format!("{number}: {how}, back"), file.seek(SeekFrom::Start(0)));
            if number == 0 {
                inside.attempt(&format!("0: {how}, over"), file.write_all(b"overwritten"));
            }
        }
        let own = u64::from(number);
        inside.attempt("cut", raw::call_numbers(libc::SYS_ftruncate, &[own, 0]));
        inside.attempt("back", raw::call_numbers(libc::SYS_lseek, &[own, 0, 0]));
    }
    inside.fact("the last word", "said");
    std::io::stderr().write_all(b"the last word\n")?;
    Ok(())
}
