//! `sandboxd man` and `sandboxd completions`: made from the definition of the command line.

use super::NOT_SET_UP;
use super::output::{say, warn};
use super::typed::Sandboxd;
use crate::explain::{self, printable};
use clap::CommandFactory;
use clap_mangen::Man;
use std::path::Path;

pub(crate) fn completions(shell: clap_complete::Shell) -> u8 {
    // Into memory first: what writes them panics where nobody reads, or the disk is full.
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Sandboxd::command(), "sandboxd", &mut text);
    if say(&String::from_utf8_lossy(&text)) { 0 } else { NOT_SET_UP }
}

pub(crate) fn man(folder: Option<&Path>) -> u8 {
    let command = Sandboxd::command();
    let written = match folder {
        None => Man::new(command).render(&mut std::io::stdout()),
        Some(folder) => clap_mangen::generate_to(command, folder),
    };
    match written {
        Ok(()) => 0,
        Err(error) => {
            let place = folder.map_or_else(
                || String::from("standard output"),
                |folder| printable(&folder.display().to_string()),
            );
            let remedy = if folder.is_some() {
                "  remedy  name a folder that exists and that you may write\n"
            } else {
                ""
            };
            warn(&format!(
                "sandboxd: the man pages were not written to {place}: {}\n{remedy}",
                explain::io(&error)
            ));
            NOT_SET_UP
        }
    }
}
