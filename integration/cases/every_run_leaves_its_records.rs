//! Every run leaves its records, started with its receipt, refused with the reason, ended with the
//! result; no argument and no secret is among them, and what is changed afterwards is told.

#![expect(
    clippy::indexing_slicing,
    reason = "a member that is not there is null, and a record that is not there fails the case"
)]

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{By, Case, Outside};
use std::fs;

pub(crate) const CASE: Case = Case { rows: &["X06"], outside, by: By::Anybody, ..Case::NEW };

const SECRET: &str = "correct-horse-battery";

fn outside(outside: &Outside) -> Result<()> {
    let base = || outside.bare().option("--profile=builtin:base");
    let run = base()
        .env("MY_TOKEN", SECRET)
        .option("--env=MY_TOKEN")
        .command(&["/bin/sh", "-c", "exit 3", SECRET])
        .run()?;
    run.exited(3)?;
    let receipt = run.receipt.as_ref().context("no receipt")?;
    base().command(&["/nowhere/\u{1b}[2J", SECRET]).run()?.exited(127)?;
    let key = format!("--set=env.{SECRET}.no=1");
    base().env("MY_TOKEN", SECRET).option(key).command(&["/bin/true"]).run()?.exited(125)?;
    let records = outside.records()?;
    let kinds: Vec<&str> = records.iter().filter_map(|one| one["kind"].as_str()).collect();
    let expected = ["started", "ended", "started", "ended", "refused", "refused"];
    ensure!(kinds == expected, "{kinds:?}");
    ensure!(records[0]["receipt"] == *receipt, "another receipt: {}", records[0]);
    ensure!(records[0]["actor"]["instance"] == receipt["sandbox"], "{}", records[0]);
    ensure!(records[1]["result"]["exit"] == 3, "{}", records[1]);
    // What cannot be executed was let go, and goes on for nobody who reads the log.
    ensure!(records[3]["result"]["not_started"] == true, "{}", records[3]);
    ensure!(records[3]["actor"]["instance"] == records[2]["actor"]["instance"], "{}", records[3]);
    ensure!(records[4]["result"]["errno"] == libc::ENOENT, "{}", records[4]);
    ensure!(records[5]["rule"] == "profile", "{}", records[5]);
    for record in &records {
        let text = record.to_string();
        ensure!(!text.contains(SECRET), "the secret is in {text}");
        ensure!(!text.contains("u001b") && !text.contains('\u{1b}'), "an escape is in {text}");
    }
    let verify = || outside.bare().waiving_nothing().verb("audit").option("verify").run();
    let whole = verify()?;
    whole.exited(0)?;
    ensure!(whole.stdout.contains("nothing was changed"), "{}", whole.stdout);
    of_its_profile(outside)?;
    changed(outside, "\"exit\":3", "\"exit\":0")?;
    let told = verify()?;
    told.exited(1)?;
    ensure!(told.stdout.contains("record 2 is lost"), "{}", told.stdout);
    for what in ["show", "export"] {
        let told = outside.bare().waiving_nothing().verb("audit").option(what).run()?;
        told.exited(1)?;
        ensure!(told.stderr.contains("damaged in 1 place"), "{what}: {}", told.stderr);
    }
    the_newest_are_shown_alone(outside)?;
    where_no_log_is_nothing_is_whole(outside)
}

/// What was refused once the profile had been read is found by its name.
fn of_its_profile(outside: &Outside) -> Result<()> {
    let profile =
        "name = \"named\"\nextends = [\"builtin:base\"]\n[files]\nread = [\"/nowhere/x\"]\n";
    outside.sandbox(profile).command(&["/bin/true"]).run()?.exited(125)?;
    let show = outside.bare().waiving_nothing().verb("audit").option("show");
    let shown = show.option("--agent").option("named").run()?;
    ensure!(shown.stdout.contains("/nowhere/x does not exist"), "{}", shown.stdout);
    Ok(())
}

fn the_newest_are_shown_alone(outside: &Outside) -> Result<()> {
    let show = |words: &[&'static str]| {
        let show = outside.bare().waiving_nothing().verb("audit").option("show");
        words.iter().fold(show, |show, word| show.option(*word)).run()
    };
    let all = show(&[])?.stdout;
    let last = show(&["-n", "2"])?;
    last.exited(1)?;
    let newest: Vec<&str> = all.lines().skip(all.lines().count() - 2).collect();
    ensure!(last.stdout.lines().collect::<Vec<_>>() == newest, "{} of {all}", last.stdout);
    Ok(())
}

fn where_no_log_is_nothing_is_whole(outside: &Outside) -> Result<()> {
    let folder = outside.file("empty/file", "no log\n")?.with_file_name("");
    let ask = |what: &'static str| {
        outside.bare().waiving_nothing().verb("audit").option(what).option(folder.as_path())
    };
    for what in ["verify", "show", "export"] {
        let told = ask(what).run()?;
        told.exited(125)?;
        ensure!(told.stderr.contains("there is no log"), "{what}: {}", told.stderr);
        ensure!(told.stderr.contains("remedy"), "{what}: {}", told.stderr);
    }
    let told = ask("verify").option("--json").run()?;
    told.exited(125)?;
    let answer: serde_json::Value = serde_json::from_str(&told.stdout)?;
    ensure!(answer["ok"] == false && answer["remedy"].is_string(), "{answer}");
    let own = outside.bare().waiving_nothing().verb("audit").option("verify").option("--json");
    let answer: serde_json::Value = serde_json::from_str(&own.run()?.stdout)?;
    ensure!(answer["ok"] == false && answer["troubles"].is_array(), "{answer}");
    Ok(())
}

/// Changes a word in the log that has it.
fn changed(outside: &Outside, from: &str, to: &str) -> Result<()> {
    for day in fs::read_dir(outside.audit())?.flatten().filter(|day| day.path().is_dir()) {
        for file in fs::read_dir(day.path())?.flatten() {
            let text = fs::read_to_string(file.path())?;
            if text.contains(from) {
                return Ok(fs::write(file.path(), text.replace(from, to))?);
            }
        }
    }
    anyhow::bail!("{from} is in no log")
}
