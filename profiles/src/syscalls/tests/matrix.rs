//! Every call's verdict in every base, in golden files: a change of one is seen in review.
//! `SANDBOXD_BLESS=1 cargo test -p sandboxd-profiles syscalls` writes them.

use super::super::{Rules, Sharing, Sockets, Verdict, bases, explain, table::NUMBERS, verdict};
use super::plain;
use std::{fmt::Write, fs, path::Path};

fn matrix(base: &str) -> String {
    let mut text = format!(
        "# System calls under the base {base}: number, name, group, verdict. Where network mode `none`\n\
         # differs, its verdict is on the next line, and likewise that of a sandbox without namespaces and\n\
         # sockets that only reads. Every other number below 2^30: ENOSYS.\n"
    );
    for (number, name) in NUMBERS {
        let found = explain(&plain(base, Sockets::Inet), *number).unwrap();
        let (group, with) = (found.group, found.verdict);
        writeln!(text, "{number:>3} {name:<24} {group:<16} {with}").unwrap();
        let without = verdict(&plain(base, Sockets::UnixOnly), *number).unwrap();
        if without != with {
            writeln!(text, "{:>3} {:<24} {:<16} {without}", "", "", "  mode none").unwrap();
        }
        let sharing = Sharing::Host { fileless_exec: false, attributes: false };
        let bare = Rules { sharing, ..plain(base, Sockets::PairsOnly) };
        let bare = verdict(&bare, *number).unwrap();
        if bare != without {
            writeln!(text, "{:>3} {:<24} {:<16} {bare}", "", "", "  landlock").unwrap();
        }
    }
    text
}

#[test]
fn every_verdict_is_the_reviewed_one() {
    for (base, _) in bases() {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/syscalls.{base}.txt"));
        let found = matrix(base);
        if std::env::var_os("SANDBOXD_BLESS").is_some() {
            fs::write(&path, &found).unwrap();
        }
        let reviewed = fs::read_to_string(&path).unwrap_or_default();
        for (line, reviewed) in found.lines().zip(reviewed.lines()) {
            assert_eq!(line, reviewed, "{path:?}; SANDBOXD_BLESS=1 writes it");
        }
        assert_eq!(found.lines().count(), reviewed.lines().count(), "{path:?}");
    }
}

#[test]
fn every_number_up_to_1023_without_a_line_in_the_matrix_is_unknown() {
    for number in (0..1024).filter(|number| super::super::name(*number).is_none()) {
        let verdict = verdict(&plain("default", Sockets::Inet), number).unwrap();
        assert_eq!(verdict, Verdict::Errno(38), "{number}");
    }
}
