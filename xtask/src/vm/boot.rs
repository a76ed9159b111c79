//! One boot: QEMU, what the guest says, and what it found.

use super::{found::Found, matrix::Kernel, payload::Payload, prepare::Image};
use crate::process;
use anyhow::{Context as _, Result, bail};
use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// How often a guest is booted that dies before anything was started in it. QEMU 7.2 loses 2 to 3 of
/// 100 boots of new kernels where it emulates several processors.
pub(super) const BOOTS: u32 = 3;
/// The longest that a guest may take, in seconds.
const LIMIT: u32 = 3600;
/// Of the guest, in MiB.
const MEMORY: u32 = 2048;
/// The last lines of the console that are shown where a guest dies.
const LAST: usize = 25;

/// What the guest's kernel says, below the folder of the payload.
const CONSOLE: &str = "console";

/// What is the same for every machine. The disks come in this order: `/dev/vda`, `/dev/vdb`.
#[rustfmt::skip]
const FIXED: &[&str] = &[
    "-machine", "q35", "-smp", "2",
    "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
    "-chardev", "stdio,id=words,signal=off",
    "-serial", "chardev:console",
    "-device", "virtio-serial-pci",
    "-device", "virtserialport,chardev=words,name=words",
    "-device", "virtserialport,chardev=results,name=results",
    "-device", "virtio-rng-pci",
    "-device", "virtio-blk-pci,drive=root",
    "-device", "virtio-blk-pci,drive=vm",
];

/// How the guest's processor comes about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Processor {
    /// By this machine's own.
    Kvm,
    /// By a program.
    Emulated,
}

/// A machine that is booted once.
pub(super) struct Guest<'a> {
    pub(super) kernel: &'a Kernel,
    pub(super) image: &'a Image,
    pub(super) payload: &'a Payload,
    /// The disk of the payload.
    pub(super) disk: PathBuf,
    /// The file that gets what it found, as it is found.
    pub(super) results: PathBuf,
    /// Whether to show what its kernel says.
    pub(super) console: bool,
}

/// How much longer everything takes in a guest than here.
pub(super) fn slower() -> u32 {
    match processor() {
        Processor::Kvm => 2,
        Processor::Emulated => 10,
    }
}

impl Guest<'_> {
    /// Boots until the job came to its end.
    pub(super) fn finish(&self) -> Result<Found> {
        for boot in 1..BOOTS {
            let found = self.begin(|line| println!("    {line}"))?;
            // The scheduler of some kernels panics now and then where processors are emulated, whatever
            // runs there. What a job does to its kernel, it does again.
            let panicked = processor() == Processor::Emulated
                && !found.is_whole()
                && self.last_words().contains("Kernel panic");
            if !panicked {
                return found.whole().with_context(|| self.last_words());
            }
            let words = self.last_words();
            println!("{words}\n    the guest's kernel panicked (boot {boot} of {BOOTS})");
        }
        self.begin(|line| println!("    {line}"))?.whole().with_context(|| self.last_words())
    }

    /// Boots until the job was begun, gives each line to `say`, and then what was found.
    pub(super) fn begin(&self, mut say: impl FnMut(&str)) -> Result<Found> {
        let mut processor = processor();
        for boot in 1..=BOOTS {
            let found = self.once(processor, &mut say)?;
            if found.is_begun() {
                return Ok(found);
            }
            println!("    the guest died before the job began (boot {boot} of {BOOTS})");
            // Where KVM is there and does not work, emulation does.
            processor = Processor::Emulated;
        }
        bail!("the guest does not boot\n{}", self.last_words())
    }

    fn once(&self, processor: Processor, say: &mut impl FnMut(&str)) -> Result<Found> {
        let how = match processor {
            Processor::Kvm => "with KVM",
            Processor::Emulated => "with an emulated processor",
        };
        println!("    booting {how}");
        fs::write(self.payload.folder.join(CONSOLE), "")?;
        fs::write(&self.results, "")?;
        // However this program ends, the machine ends with it.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "TERM", "timeout", "--foreground", "--kill-after=5"])
            .args([&LIMIT.to_string(), "qemu-system-x86_64"])
            .args(self.words(processor)?)
            // An end of input would end the port that carries the words out.
            .stdin(Stdio::piped());
        if !process::lines(&mut command, say)? {
            println!("    the guest did not end within {LIMIT} s, or QEMU failed");
        }
        if self.console {
            println!("{}", String::from_utf8_lossy(&fs::read(self.payload.folder.join(CONSOLE))?));
        }
        Found::read(&self.results)
    }

    /// The machine: its processor, what it boots, two disks, and a line out for each kind of word.
    fn words(&self, processor: Processor) -> Result<Vec<OsString>> {
        let (accelerator, cpu) = match processor {
            Processor::Kvm => ("kvm", "host".to_owned()),
            Processor::Emulated => ("tcg,thread=multi,tb-size=512", emulated_cpu()?),
        };
        let line =
            format!("console=ttyS0 panic=-1 cgroup_no_v1=all psi=1 {}", self.kernel.command_line);
        let mut words: Vec<OsString> = FIXED.iter().map(OsString::from).collect();
        let mut add = |option: &str, value: OsString| words.extend([option.into(), value]);
        add("-accel", accelerator.into());
        add("-cpu", cpu.into());
        add("-m", MEMORY.to_string().into());
        add("-append", line.into());
        add("-kernel", self.image.kernel.clone().into());
        add("-initrd", self.image.initrd.clone().into());
        let disk = "format=raw,if=none,cache=unsafe,file=";
        add("-drive", joined(&format!("id=root,snapshot=on,{disk}"), &self.image.disk));
        add("-drive", joined(&format!("id=vm,read-only=on,{disk}"), &self.disk));
        let console = self.payload.folder.join(CONSOLE);
        add("-chardev", joined("file,id=console,path=", &console));
        add("-chardev", joined("file,id=results,path=", &self.results));
        Ok(words)
    }

    /// The end of what the guest's kernel said.
    pub(super) fn last_words(&self) -> String {
        let console = fs::read(self.payload.folder.join(CONSOLE)).unwrap_or_default();
        let text = String::from_utf8_lossy(&console).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        let last = lines.get(lines.len().saturating_sub(LAST)..).unwrap_or_default();
        last.join("\n")
    }
}

fn joined(before: &str, path: &Path) -> OsString {
    let mut word = OsString::from(before);
    word.push(path);
    word
}

/// KVM where it can be expected to work. A device alone says little: a guest of some clouds has one
/// that cannot boot an ordinary kernel.
fn processor() -> Processor {
    let device = fs::File::options().read(true).write(true).open("/dev/kvm").is_ok();
    let flags = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let able = flags
        .lines()
        .find(|line| line.starts_with("flags"))
        .is_some_and(|line| line.split_whitespace().any(|flag| flag == "vmx" || flag == "svm"));
    if device && able { Processor::Kvm } else { Processor::Emulated }
}

/// In QEMU 7.2, CMPXCHG16B leaves wrong flags behind, on which the kernel's allocator breaks.
fn emulated_cpu() -> Result<String> {
    let told = process::output(Command::new("qemu-system-x86_64").arg("--version"))?;
    let major = told
        .split_once("version ")
        .and_then(|(_, rest)| rest.split('.').next())
        .and_then(|number| number.parse::<u32>().ok())
        .context("QEMU does not say its version")?;
    let without = if major < 10 { ",cx16=off" } else { "" };
    Ok(format!("qemu64,+rdrand{without}"))
}
