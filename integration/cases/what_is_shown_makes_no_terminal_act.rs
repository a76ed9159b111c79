//! What a command prints makes the caller's terminal show something, and do nothing else: nothing is put
//! in the clipboard, no title is set, nothing is asked; and what the profile allows arrives. Nothing is
//! answered into the caller's shell afterwards.

use anyhow::{Result, ensure};
use sandboxd_integration::{Case, Outside, Terminal};

pub(crate) const CASE: Case = Case { rows: &["T03"], outside, ..Case::NEW };

/// Written as printf(1) reads it; none of it may come through.
const ACTS: &[&str] = &[
    r"\033]52;c;ZXZpbA==\007",
    r"\033]52;c;?\033\\",
    r"\033]0;title\007",
    r"\033]2;title\033\\",
    r"\033]8;;http://example.com\007",
    r"\033]11;?\007",
    r"\033P$q m\033\\",
    r"\033_Gi=1\033\\",
    r"\033^x\033\\",
    r"\033[6n",
    r"\033[c",
    r"\033[>c",
    r"\033[21t",
    r"\033[5i",
    r"\033[?2031h",
    r"\033[201~",
    r"\033Z",
    r"\005",
    r"\2336n",
    r"\23552;c;eA==\234",
    r"\302\2336n",
];
/// All of it must.
const DRAWS: &str = r"\033[1;31mred\033[0m \033[2J\033[3;4H\342\234\263\033(0q\033(B";
const DRAWN: &str = "\u{1b}[1;31mred\u{1b}[0m \u{1b}[2J\u{1b}[3;4H\u{2733}\u{1b}(0q\u{1b}(B";

fn outside(outside: &Outside) -> Result<()> {
    let profile = "extends = [\"builtin:base\"]\n";
    let attack: String = ACTS.iter().map(|act| format!("<{act}>")).collect();
    let format = format!("begin{attack}{DRAWS}end");
    let clean = format!("begin{}{DRAWN}end", "<>".repeat(ACTS.len()));
    // A terminal of its own; standard output alone; standard error alone.
    for (streams, to) in [(&[0, 1, 2][..], ""), (&[1], ""), (&[2], " >&2")] {
        let terminal = Terminal::new()?;
        let text = format!("printf '{format}'{to}");
        let sandbox = outside.sandbox(profile).command(&["/bin/sh", "-c", &text]);
        let running = sandbox.terminal(&terminal, streams).start()?;
        let shown = terminal.shows("end")?;
        running.wait()?.exited(0)?;
        ensure!(shown == clean, "{streams:?}: {shown:?}");
    }
    // Cut in two between the streams, it is still none.
    let terminal = Terminal::new()?;
    let text =
        r"printf '\033'; printf '[6' >&2; printf n; printf '\033]52;c;' >&2; printf 'eA==\007end'";
    let sandbox = outside.sandbox(profile).command(&["/bin/sh", "-c", text]);
    let running = sandbox.terminal(&terminal, &[1, 2]).start()?;
    let shown = terminal.shows("end")?;
    running.wait()?.exited(0)?;
    ensure!(shown == "end", "in two streams: {shown:?}");
    what_is_left_on_is_undone(outside, profile)?;
    what_is_allowed_arrives(outside, profile)
}

fn what_is_left_on_is_undone(outside: &Outside, profile: &str) -> Result<()> {
    let terminal = Terminal::new()?;
    let text = r"printf '\033[?1049h\033[?1000h\033[?2004h\033[?25lend'; kill -KILL $$";
    let sandbox = outside.sandbox(profile).command(&["/bin/sh", "-c", text]);
    let running = sandbox.terminal(&terminal, &[0, 1, 2]).start()?;
    terminal.shows("end")?;
    terminal.shows("\u{1b}[?1049l\u{1b}[?1000l\u{1b}[?2004l\u{1b}[?25h")?;
    running.wait()?.exited(137)?;
    Ok(())
}

/// With reports allowed, a question reaches the terminal and its answer the command; one that comes
/// after the command has ended reaches nobody.
fn what_is_allowed_arrives(outside: &Outside, profile: &str) -> Result<()> {
    let profile = format!(
        "{profile}[command]\nescapes = [\"reports\", \"title\", \"links\", \"clipboard\"]\n"
    );
    let terminal = Terminal::new()?;
    let text = r#"stty raw -echo; printf '\033]0;t\007\033]52;c;eA==\007\033[6n'
        answer=$(dd bs=1 count=6 2>/dev/null); printf "got:${answer#?}"; printf '\033[6n'"#;
    let sandbox = outside.sandbox(&profile).command(&["/bin/sh", "-c", text]);
    let running = sandbox.terminal(&terminal, &[0, 1, 2]).start()?;
    terminal.shows("\u{1b}]0;t\u{1b}\\\u{1b}]52;c;eA==\u{1b}\\\u{1b}[6n")?;
    terminal.types("\u{1b}[5;7R")?;
    terminal.shows("got:[5;7R\u{1b}[6n")?;
    // The command has ended; sandboxd asks a last question, to know when all are answered.
    terminal.shows("\u{1b}[5n")?;
    terminal.types("\u{1b}[9;9R\u{1b}[0n")?;
    running.wait()?.exited(0)?;
    let left = terminal.unread()?;
    ensure!(left.is_empty(), "left to be read by the caller's shell: {left:?}");
    Ok(())
}
