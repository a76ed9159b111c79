//! Which of its standard streams are a terminal is decided by which of its caller's are, as the book's
//! table has it; what is typed arrives either way, and a stream that is no terminal passes as it is.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{Case, Outside, Terminal};

pub(crate) const CASE: Case = Case { rows: &["T07"], outside, ..Case::NEW };

/// The sum of 1, 2 and 4 for each that is one, and 8 where there is a controlling terminal.
const ASKS: &str = "x=0; test -t 0 && x=1; test -t 1 && x=$((x+2)); test -t 2 && x=$((x+4)); \
                    true 2>/dev/null </dev/tty && x=$((x+8)); exit $x";

fn outside(outside: &Outside) -> Result<()> {
    let with = |tty: &str| format!("extends = [\"builtin:base\"]\n[command]\ntty = \"{tty}\"\n");
    for (tty, streams, status) in [
        ("auto", &[0, 1, 2][..], 15),
        ("auto", &[0, 1], 11),
        ("auto", &[0, 2], 0),
        ("auto", &[1, 2], 0),
        ("auto", &[0], 0),
        ("auto", &[2], 0),
        ("never", &[0, 1, 2], 0),
        ("always", &[0, 1, 2], 15),
        ("always", &[2], 12),
        ("always", &[0], 9),
        ("always", &[1, 2], 14),
    ] {
        let terminal = Terminal::new()?;
        let sandbox = outside.sandbox(&with(tty)).command(&["/bin/sh", "-c", ASKS]);
        let run = sandbox.terminal(&terminal, streams).run()?;
        run.exited(status).with_context(|| format!("{tty} {streams:?}"))?;
        terminal.becomes(false)?;
    }
    let run = outside.sandbox(&with("always")).command(&["/bin/true"]).run()?;
    run.has_problem(&["command.tty", "is a terminal"])?;
    outside.bare().option("-t").command(&["/bin/true"]).run()?.has_problem(&["is a terminal"])?;

    // A line that is typed arrives through a pipe, and so does the end of input.
    let terminal = Terminal::new()?;
    let text = "read line; echo \"got $line\"; cat; echo over";
    let sandbox = outside.sandbox(&with("auto")).command(&["/bin/sh", "-c", text]);
    let running = sandbox.terminal(&terminal, &[0]).start()?;
    terminal.types("a line\nanother\n\u{4}")?;
    let run = running.wait()?;
    run.exited(0)?;
    ensure!(run.stdout == "got a line\nanother\nover\n", "{:?}", run.stdout);
    // Without any, nothing is changed on the way.
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let sandbox = outside.sandbox(&with("auto")).stdin(&bytes);
    let run = sandbox.command(&["/bin/cat"]).run()?;
    let copied = std::fs::read(run.exited(0)?.folder().join("stdout"))?;
    ensure!(copied == bytes, "what passed is not what was given");
    Ok(())
}
