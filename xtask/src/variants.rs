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

/// The cases that go red, of those that were run, in a copy without the layer. The copy is whole again afterwards, whatever
/// happened.
fn without(tree: &Tree, copy: &Tree, spec: &Spec, cases: &[String]) -> Result<Vec<String>> {
    let named = spec.named();
    let cases = if cases.is_empty() { &named } else { cases };
    let outcome = apply(copy, spec).and_then(|()| Outcome::of_quick(copy, cases));
    copy::refresh(tree, copy)?;
    Ok(outcome?.red)
}

fn apply(copy: &Tree, spec: &Spec) -> Result<()> {
    for edit in &spec.edit {
        let changed = edit.applied(&copy.read(&edit.file)?)?;
        std::fs::write(copy.root.join(&edit.file), changed)
            .with_context(|| format!("cannot write {}", edit.file))?;
    }
    Ok(())
}

fn report(verdicts: &[(&Spec, Result<Vec<String>>)]) -> Result<()> {
    println!();
    let mut gaps = 0_u32;
    for (Spec { name, layer, cases, still, .. }, verdict) in verdicts {
        match verdict {
            Ok(red) => {
                println!("{name} (without {layer}): noticed by {}", red.join(", "));
                let blind: Vec<&str> =
                    cases.iter().filter(|case| !red.contains(case)).map(String::as_str).collect();
                if !blind.is_empty() {
                    gaps += 1;
                    println!("{name} (without {layer}): GAP: not noticed by {}", blind.join(", "));
                }
                let fallen: Vec<&str> =
                    still.iter().filter(|case| red.contains(case)).map(String::as_str).collect();
                if !fallen.is_empty() {
                    gaps += 1;
                    println!(
                        "{name} (without {layer}): GAP: no other layer holds {}",
                        fallen.join(", ")
                    );
                }
            }
            Err(error) => {
                gaps += 1;
                println!("{name} (without {layer}): GAP: not tried: {error:#}");
            }
        }
    }
    ensure!(gaps == 0, "{gaps} of {} variants are a gap", verdicts.len());
    Ok(())
}
