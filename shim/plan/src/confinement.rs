//! Stages `identity`, `landlock` and `seccomp`. Init and the command each go through all three with
//! a confinement of their own.

use crate::{JailPath, Kind, Layers};
use alloc::{string::String, vec::Vec};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Who a process is, what it may open, and what it may ask of the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confinement {
    /// Stage `identity`.
    pub identity: Identity,
    /// Stage `landlock`.
    pub landlock: Layers<Landlock>,
    /// Stage `seccomp`.
    pub syscalls: Layers<Filter>,
}

/// Real, effective and saved ids alike. Capabilities are always dropped from every set, and
/// `no_new_privs` always set, so the plan has no words for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Groups,
}

/// What becomes of the supplementary groups of whoever called the supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Groups {
    /// None is left, setgroups(2).
    Emptied,
    /// They stay: leaving a group takes `CAP_SETGID` of the machine, because a group can be denied
    /// what others may do.
    Kept,
}

/// What becomes of the bounding set, capabilities(7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bounding {
    /// It is emptied, and root is made nobody special.
    Emptied,
    /// It stays, for want of `CAP_SETPCAP`: under `no_new_privs` nothing is gained from it.
    Kept,
}

/// A Landlock ruleset, landlock(7). The masks are what this host's ABI has; the kernel refuses a bit
/// it does not know, and a refusal ends the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Landlock {
    /// File rights that are denied where no rule allows them, `LANDLOCK_ACCESS_FS_*`.
    pub handled_fs: u64,
    /// Network rights likewise, `LANDLOCK_ACCESS_NET_*`.
    pub handled_net: u64,
    /// Kinds of IPC kept inside, `LANDLOCK_SCOPE_*`.
    pub scoped: u64,
    /// Flags of `landlock_restrict_self`, 0 below ABI 7.
    pub flags: u32,
    /// What may be opened.
    pub paths: Vec<PathRule>,
    /// What may be bound or connected to.
    pub ports: Vec<PortRule>,
}

/// Rights on a file or on everything beneath a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PathRule {
    /// Opened in the finished root.
    pub path: JailPath,
    /// What it must be; rights that only a directory can have are not asked for a file.
    pub kind: Kind,
    /// `LANDLOCK_ACCESS_FS_*`.
    pub rights: u64,
}

/// Rights on a TCP port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortRule {
    /// The port; 0 stands for one the kernel picks.
    pub port: u16,
    /// `LANDLOCK_ACCESS_NET_*`.
    pub rights: u64,
}

/// One instruction of classic BPF, `struct sock_filter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// Instructions to skip where the comparison holds.
    pub jt: u8,
    /// Instructions to skip where not.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

/// A finished seccomp program: at most 4096 instructions. In JSON a string of 16 hexadecimal digits
/// per instruction: code, jt, jf, k.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter(Vec<Instruction>);

impl Filter {
    /// The most instructions the kernel takes, `BPF_MAXINSNS`.
    pub const MOST: usize = 4096;

    /// The program.
    #[must_use]
    pub fn instructions(&self) -> &[Instruction] {
        &self.0
    }
}

/// Who answers a call that the command's own filter refuses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Refusals {
    /// The kernel, at once, and nobody is told.
    Kernel,
    /// The supervisor, which is asked by this program. It is put on in the place of the innermost filter and
    /// refuses whatever that refuses; where nobody answers any more, the kernel refuses with `ENOSYS`.
    Supervisor(Filter),
}

/// The program has no instruction, or more than the kernel takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FilterLength(pub usize);

impl core::fmt::Display for FilterLength {
    fn fmt(&self, to: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(to, "a filter of {} instructions; 1 to {} fit", self.0, Filter::MOST)
    }
}

impl core::error::Error for FilterLength {}

impl TryFrom<Vec<Instruction>> for Filter {
    type Error = FilterLength;

    fn try_from(program: Vec<Instruction>) -> Result<Self, FilterLength> {
        match program.len() {
            1..=Self::MOST => Ok(Self(program)),
            length => Err(FilterLength(length)),
        }
    }
}

impl Serialize for Filter {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        // Of a filter there are thousands, in every start: what formats a number at a time took 3 % of it.
        let mut text = String::with_capacity(self.0.len() * 16);
        text.extend(self.0.iter().flat_map(digits));
        to.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Filter {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_str(FilterVisitor)
    }
}

struct FilterVisitor;

impl de::Visitor<'_> for FilterVisitor {
    type Value = Filter;

    fn expecting(&self, to: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        to.write_str("16 hexadecimal digits per instruction")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Filter, E> {
        let (chunks, rest) = text.as_bytes().as_chunks::<16>();
        if !rest.is_empty() {
            return Err(E::custom("a filter cut in the middle of an instruction"));
        }
        let program: Option<Vec<Instruction>> = chunks.iter().map(instruction).collect();
        let program = program.ok_or_else(|| E::custom("not hexadecimal"))?;
        Filter::try_from(program).map_err(E::custom)
    }
}

fn digits(one: &Instruction) -> impl Iterator<Item = char> {
    let operation = u64::from(one.code) << 48 | u64::from(one.jt) << 40 | u64::from(one.jf) << 32;
    let word = operation | u64::from(one.k);
    let halves = word.to_be_bytes().into_iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    halves.filter_map(|half| char::from_digit(u32::from(half), 16))
}

fn instruction(digits: &[u8; 16]) -> Option<Instruction> {
    let mut word: u64 = 0;
    for digit in digits {
        word = word << 4 | u64::from(char::from(*digit).to_digit(16)?);
    }
    let [c1, c0, jt, jf, k3, k2, k1, k0] = word.to_be_bytes();
    Some(Instruction {
        code: u16::from_be_bytes([c1, c0]),
        jt,
        jf,
        k: u32::from_be_bytes([k3, k2, k1, k0]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn a_filter_survives_json() {
        let program = vec![
            Instruction { code: 0x20, jt: 0, jf: 0, k: 4 },
            Instruction { code: 0x15, jt: 1, jf: 255, k: 0xc000_003e },
            Instruction { code: 6, jt: 0, jf: 0, k: 0x7fff_0000 },
        ];
        let filter = Filter::try_from(program).unwrap();
        let json = serde_json::to_string(&filter).unwrap();
        assert_eq!(
            json,
            "\"00200000000000040015\
                           01ffc000003e000600007fff0000\""
        );
        assert_eq!(serde_json::from_str::<Filter>(&json).unwrap(), filter);
    }

    #[test]
    fn half_an_instruction_and_no_instruction_are_refused() {
        for text in ["\"\"", "\"0020\"", "\"zz20000000000004\""] {
            assert!(serde_json::from_str::<Filter>(text).is_err(), "{text}");
        }
    }
}
