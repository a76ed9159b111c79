//! Whether a program runs with nothing but itself, from its headers, elf(5).

use anyhow::{Context as _, Result, bail, ensure};

/// Program header types.
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;

/// Tags of the dynamic section that ask a loader for something: another file, or relocations.
/// The linker writes the section even where none of them is in it.
const LOADER: &[(u64, &str)] =
    &[(1, "NEEDED"), (7, "RELA"), (17, "REL"), (23, "JMPREL"), (36, "RELR")];

/// An error that says what the program needs a loader for.
pub(super) fn judge_static(image: &[u8]) -> Result<()> {
    for header in program_headers(image).context("not an ELF file that we can read")? {
        match header.kind {
            PT_INTERP => bail!("it is not static: it names a loader (PT_INTERP)"),
            PT_DYNAMIC => {
                let tags = header.tags(image).context("its dynamic section is cut off")?;
                let asks = LOADER.iter().find(|(tag, _)| tags.contains(tag));
                ensure!(asks.is_none(), "it is not static: it asks a loader for {asks:?}");
            }
            _ => {}
        }
    }
    Ok(())
}

struct ProgramHeader {
    kind: u32,
    offset: usize,
    size: usize,
}

impl ProgramHeader {
    /// The tags of the dynamic section that this header points at.
    fn tags(&self, image: &[u8]) -> Option<Vec<u64>> {
        const ENTRY: usize = 16;
        let section = image.get(self.offset..self.offset.checked_add(self.size)?)?;
        section
            .chunks_exact(ENTRY)
            .map(|entry| Some(u64::from_le_bytes(field(entry, 0)?)))
            .collect()
    }
}

/// The program headers of a 64-bit little-endian file.
fn program_headers(image: &[u8]) -> Option<Vec<ProgramHeader>> {
    const E_PHOFF: usize = 0x20;
    const E_PHENTSIZE: usize = 0x36;
    const E_PHNUM: usize = 0x38;
    const P_OFFSET: usize = 8;
    const P_FILESZ: usize = 32;
    if !image.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let first = number(image, E_PHOFF)?;
    let size = usize::from(u16::from_le_bytes(field(image, E_PHENTSIZE)?));
    let count = usize::from(u16::from_le_bytes(field(image, E_PHNUM)?));
    let mut headers = Vec::new();
    for index in 0..count {
        let header = image.get(first.checked_add(index.checked_mul(size)?)?..)?;
        headers.push(ProgramHeader {
            kind: u32::from_le_bytes(field(header, 0)?),
            offset: number(header, P_OFFSET)?,
            size: number(header, P_FILESZ)?,
        });
    }
    Some(headers)
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u64::from_le_bytes(field(bytes, at)?)).ok()
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_dynamic_program_names_its_loader_and_what_it_needs() {
        // This program may be static itself; the shell is not.
        let this = fs::read("/bin/sh").unwrap();
        assert!(judge_static(&this).unwrap_err().to_string().contains("PT_INTERP"));
        let headers = program_headers(&this).unwrap();
        let dynamic = headers.iter().find(|header| header.kind == PT_DYNAMIC).unwrap();
        assert!(dynamic.tags(&this).unwrap().contains(&1));
    }

    #[test]
    fn what_is_no_elf_file_or_is_cut_off_is_an_error() {
        assert!(judge_static(b"#!/bin/sh").is_err());
        // This program may be static itself; the shell is not.
        let this = fs::read("/bin/sh").unwrap();
        assert!(judge_static(this.get(..0x50).unwrap()).is_err());
    }
}
