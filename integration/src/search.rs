//! Looks for something in every process of a sandbox, in what can be read of its memory, and in its files.

use anyhow::Result;
use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

/// Both halves together are looked for, so that a program's own words are no find.
pub type Halves = [Vec<u8>; 2];

/// What is looked for, what was looked at, and where it was found.
#[derive(Debug, Default)]
pub struct Search {
    /// This is nowhere.
    pub everywhere: Vec<Halves>,
    /// And this in no file: programs may have it in their own words.
    pub in_files: Vec<Halves>,
    /// This has to be found, so that it is known that there is a search.
    pub control: Halves,
    /// Where something was found.
    pub found: Vec<String>,
    /// Where that was which has to be found.
    pub controls: Vec<String>,
    /// Files that were read.
    pub files: u32,
    /// Ranges of memory.
    pub memories: u32,
}

fn has(bytes: &[u8], halves: &Halves) -> bool {
    let wanted = halves.concat();
    let first = wanted.first();
    let begins = bytes.iter().enumerate().filter(|(_, byte)| Some(*byte) == first);
    let mut rests = begins.filter_map(|(at, _)| bytes.get(at..));
    rests.any(|rest| rest.starts_with(&wanted))
}

impl Search {
    /// Everywhere but in this process's own memory, which has what is looked for.
    ///
    /// # Errors
    /// Where there is no `/proc` to look at.
    pub fn all(&mut self) -> Result<()> {
        for process in fs::read_dir("/proc")?.flatten().map(|entry| entry.path()) {
            for name in ["environ", "cmdline", "maps", "mountinfo", "status", "stack"] {
                self.file(&process.join(name));
            }
            let name = process.file_name();
            let number: Option<u32> = name.and_then(|name| name.to_str()?.parse().ok());
            if number.is_some_and(|number| number != std::process::id()) {
                self.memory(&process);
            }
        }
        // The root itself is not listed; what is mounted below it is.
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        let mounts = mounts.lines().filter_map(|line| line.split(' ').nth(4));
        for path in mounts.chain(["/run", "/tmp", "/etc", "/dev/shm", "/home"]).map(Path::new) {
            self.mount(path);
        }
        Ok(())
    }

    fn judge(&mut self, path: &Path, bytes: &[u8]) {
        if self.everywhere.iter().any(|halves| has(bytes, halves)) {
            self.found.push(path.display().to_string());
        }
        if has(bytes, &self.control) {
            self.controls.push(path.display().to_string());
        }
    }

    fn file(&mut self, path: &Path) {
        let Ok(bytes) = fs::read(path) else { return };
        self.files += 1;
        self.judge(path, &bytes);
        if self.in_files.iter().any(|halves| has(&bytes, halves)) {
            self.found.push(path.display().to_string());
        }
    }

    /// What can be read of another process's memory.
    fn memory(&mut self, process: &Path) {
        let Ok(maps) = fs::read_to_string(process.join("maps")) else { return };
        let Ok(mut file) = fs::File::open(process.join("mem")) else { return };
        for line in maps.lines() {
            let range = line.split(' ').next().and_then(|range| range.split_once('-'));
            let number = |text| u64::from_str_radix(text, 16).ok();
            let Some((Some(from), Some(to))) = range.map(|(from, to)| (number(from), number(to)))
            else {
                continue;
            };
            let mut bytes = Vec::new();
            if file.seek(SeekFrom::Start(from)).is_ok() {
                // What cannot be read to its end is read as far as it goes.
                file.by_ref()
                    .take(to.saturating_sub(from).min(64 << 20))
                    .read_to_end(&mut bytes)
                    .ok();
            }
            self.memories += u32::from(!bytes.is_empty());
            self.judge(&process.join("mem"), &bytes);
        }
    }

    /// All but the kernel's files and the machine's programs, which nobody inside writes.
    fn mount(&mut self, path: &Path) {
        const OTHERS: [&str; 9] = [
            "/proc",
            "/sys",
            "/usr",
            "/opt",
            "/probe",
            "/root",
            "/home/agent/.cargo",
            "/home/agent/.rustup",
            "/home/agent/go",
        ];
        if OTHERS.iter().any(|one| path.starts_with(one)) {
            return;
        }
        if path.is_file() {
            return self.file(path);
        }
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            // No link is followed, and no pipe or device opened.
            if entry.file_type().is_ok_and(|kind| kind.is_dir() || kind.is_file()) {
                self.mount(&entry.path());
            }
        }
    }
}
