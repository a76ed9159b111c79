//! `cargo xtask break`: for every layer, a product without it, and which cases notice.
//!
//! The product has no switch that turns a layer off, so a variant is a copy of the tree with a few
//! words replaced (`xtask/break/*.toml`). Each names the cases that must notice; one of them that stays
//! green is a gap: the layer could be lost and that promise would still be reported as kept. It can
//! name cases that must not notice, too: those show that another layer keeps the promise alone.

mod copy;
mod spec;

use crate::{test::Outcome, tree::Tree};
use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use spec::Spec;

#[derive(Args)]
pub(crate) struct Typed {
    /// Only these variants
    names: Vec<String>,
    /// Only look whether every variant still applies to the tree
    #[arg(long)]
    check: bool,
    /// Given to the harness: names of cases and its own options
    #[arg(last = true)]
    cases: Vec<String>,
}

pub(crate) fn run(tree: &Tree, typed: &Typed) -> Result<()> {
    if typed.check {
        return check(tree);
    }
    let mut specs = spec::read(tree)?;
    for name in &typed.names {
        ensure!(specs.iter().any(|spec| spec.name == *name), "no variant is named {name:?}");
    }
    specs.retain(|spec| typed.names.is_empty() || typed.names.contains(&spec.name));
    ensure!(!specs.is_empty(), "there is no variant in {}", spec::FOLDER);
    let copy = copy::make(tree)?;

    println!("==> as it is");
    let mut named: Vec<String> = specs.iter().flat_map(Spec::named).collect();
    named.sort();
    named.dedup();
    let first = if typed.cases.is_empty() { &named } else { &typed.cases };
    let whole = Outcome::of_quick(&copy, first)?;
    if !whole.is_green() {
        bail!("the tree is not green as it is: {}", whole.red.join(", "));
    }
    let mut verdicts = Vec::new();
    for spec in &specs {
        println!("\n==> without {} ({})", spec.layer, spec.name);
        verdicts.push((spec, without(tree, &copy, spec, &typed.cases)));
    }
    report(&verdicts)
}

/// Every variant is well written and applies to the tree.
pub(crate) fn check(tree: &Tree) -> Result<()> {
    let specs = spec::read(tree)?;
    for spec in &specs {
        for edit in &spec.edit {
            edit.applied(&tree.read(&edit.file)?)
                .with_context(|| format!("{}: {}", spec.name, edit.file))?;
        }
    }
    println!("{} variants apply", specs.len());
    Ok(())
}

/// What the cases come to in a copy without the layer. The copy is whole again afterwards, whatever happened.
fn without(tree: &Tree, copy: &Tree, spec: &Spec, cases: &[String]) -> Result<Outcome> {
    let named = spec.named();
    let cases = if cases.is_empty() { &named } else { cases };
    let outcome = apply(copy, spec).and_then(|()| Outcome::of_quick(copy, cases));
    copy::refresh(tree, copy)?;
    outcome
}

fn apply(copy: &Tree, spec: &Spec) -> Result<()> {
    for edit in &spec.edit {
        let changed = edit.applied(&copy.read(&edit.file)?)?;
        std::fs::write(copy.root.join(&edit.file), changed)
            .with_context(|| format!("cannot write {}", edit.file))?;
    }
    Ok(())
}

fn report(verdicts: &[(&Spec, Result<Outcome>)]) -> Result<()> {
    println!();
    let mut gaps = 0_u32;
    for (spec, verdict) in verdicts {
        let said = match verdict {
            Ok(outcome) => {
                println!("{}: noticed by {}", spec.title(), outcome.red.join(", "));
                if !outcome.not_started.is_empty() {
                    // Whoever stops the start keeps the promise; whether the case would, is not known.
                    println!(
                        "{}: LOOK: of these a run did not start: {}",
                        spec.title(),
                        outcome.not_started.join(", ")
                    );
                }
                found(spec, &outcome.passed, &outcome.red)
            }
            Err(error) => vec![format!("not tried: {error:#}")],
        };
        gaps += u32::from(!said.is_empty());
        said.iter().for_each(|gap| println!("{}: GAP: {gap}", spec.title()));
    }
    ensure!(gaps == 0, "{gaps} of {} variants are a gap", verdicts.len());
    Ok(())
}

/// Where what came of the cases is not what the variant says of them.
fn found(spec: &Spec, passed: &[String], red: &[String]) -> Vec<String> {
    let blind: Vec<&str> =
        spec.cases.iter().filter(|case| !red.contains(case)).map(String::as_str).collect();
    // One that was not run is no evidence that another layer holds.
    let holds = |case: &String| passed.contains(case) && !red.contains(case);
    let fallen: Vec<&str> =
        spec.still.iter().filter(|case| !holds(case)).map(String::as_str).collect();
    [("not noticed by", blind), ("no other layer is seen to hold", fallen)]
        .into_iter()
        .filter(|(_, cases)| !cases.is_empty())
        .map(|(words, cases)| format!("{words} {}", cases.join(", ")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_that_was_not_run_shows_neither_a_gap_closed_nor_another_layer() {
        let spec: Spec = toml::from_str(
            "name = \"x\"\nlayer = \"it\"\ncases = [\"a\"]\nstill = [\"b\"]\nedit = []\n",
        )
        .unwrap();
        let list = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        assert!(found(&spec, &list(&["b"]), &list(&["a"])).is_empty());
        // As root it passed, and as a user it did not.
        assert_eq!(found(&spec, &list(&["b"]), &list(&["a", "b"])).len(), 1);
        assert_eq!(found(&spec, &[], &list(&["a"])), ["no other layer is seen to hold b"]);
        assert_eq!(found(&spec, &list(&["a", "b"]), &[]), ["not noticed by a"]);
    }
}
