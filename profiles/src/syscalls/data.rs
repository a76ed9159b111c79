//! The shape of the data in `builtin/syscalls/`, as `table` holds it.

use std::fmt;

/// What a group answers its calls with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// The kernel does the call.
    Allow,
    /// The call returns this errno(3) and nothing happens.
    Errno(u16),
}

/// System calls that are answered alike, by name, each with its reason.
#[derive(Debug)]
pub struct Group {
    /// What a profile calls it, after `@`.
    pub name: &'static str,
    /// What it is for.
    pub about: &'static str,
    pub(super) answer: Answer,
    /// Whether no profile can change the answer: not deny it where it allows, not allow it where it
    /// refuses.
    pub fixed: bool,
    /// Its calls.
    pub lines: &'static [Line],
}

/// Some calls, and the one reason for all of them.
#[derive(Debug)]
pub struct Line {
    /// Numbers.
    pub calls: &'static [u32],
    /// Why they are answered as they are.
    pub reason: &'static str,
}

/// What `[syscalls] base` can be.
#[derive(Debug)]
pub struct Base {
    /// Its name.
    pub name: &'static str,
    /// For whom it is.
    pub about: &'static str,
    /// The groups it allows.
    pub groups: &'static [&'static str],
}

/// Which sockets there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sockets {
    /// Unix sockets only: network mode `none`.
    UnixOnly,
    /// Unix, IPv4 and IPv6, and netlink for listing interfaces: every other mode.
    Inet,
    /// None but the pairs of socketpair(2): network mode `none`, where nothing else keeps the command
    /// from the Unix sockets of others.
    PairsOnly,
    /// As `Inet`, without Unix sockets but those pairs.
    InetOnly,
}

impl Sockets {
    /// Whether a check that belongs to `other` is made here too.
    pub(super) fn includes(self, other: Self) -> bool {
        self == other || (self == Self::InetOnly && other == Self::Inet)
    }
}

/// What of the kernel the sandbox has in common with whoever else is on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Nothing: it has namespaces of its own.
    Nothing,
    /// All that namespaces would part, and the filter has to.
    Host {
        /// Whether the profile lets programs be executed from memory.
        fileless_exec: bool,
        /// Whether modes, owners, times and attributes of files can be changed. Landlock does not judge
        /// that, so wherever the command's user owns a file, it could.
        attributes: bool,
    },
}

/// Arguments that are refused on a call that is otherwise allowed.
#[derive(Debug, PartialEq, Eq)]
pub struct Check {
    /// The calls it looks at.
    pub calls: &'static [u32],
    /// The network mode it belongs to; both where `None`.
    pub sockets: Option<Sockets>,
    /// Whether it is made only where the sandbox shares what it is about, see [`Sharing::Host`].
    pub shared: bool,
    /// It refuses where all of these hold.
    pub when: &'static [Condition],
    /// The errno(3) it refuses with.
    pub errno: u16,
    /// Why.
    pub reason: &'static str,
}

/// Something about one argument: its low 32 bits, where not said otherwise.
#[derive(Debug, PartialEq, Eq)]
pub struct Condition {
    /// Which argument, from 0 to 5.
    pub argument: u8,
    /// The bits that are looked at.
    pub mask: u32,
    /// What they are compared with.
    pub test: Test,
}

/// How the masked argument is compared.
#[derive(Debug, PartialEq, Eq)]
pub enum Test {
    /// It is one of these.
    Is(&'static [u32]),
    /// It is none of these.
    Not(&'static [u32]),
    /// It is a pointer that is not NULL: any of its 64 bits is set. There is no mask.
    Given,
}

impl fmt::Display for Condition {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "arg{}", self.argument)?;
        if self.mask != u32::MAX {
            write!(to, "&{:#x}", self.mask)?;
        }
        let (word, values) = match self.test {
            Test::Not([0]) => return to.write_str(" != 0"),
            Test::Given => return to.write_str(" is given"),
            Test::Is(values) => ("in", values),
            Test::Not(values) => ("not in", values),
        };
        write!(to, " {word} {{")?;
        for (place, value) in values.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            write!(to, "{comma}{value:#x}")?;
        }
        write!(to, "}}")
    }
}

impl fmt::Display for Check {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{} if ", errno_name(self.errno))?;
        for (place, condition) in self.when.iter().enumerate() {
            let and = if place == 0 { "" } else { " and " };
            write!(to, "{and}{condition}")?;
        }
        Ok(())
    }
}

/// The errno values that the data may use, by name: errno(3) of x86_64.
pub(super) const ERRNOS: &[(&str, u16)] = &[
    ("0", 0),
    ("EPERM", 1),
    ("ENOENT", 2),
    ("ENOMEM", 12),
    ("EINVAL", 22),
    ("ENOSYS", 38),
    ("EOPNOTSUPP", 95),
    ("EAFNOSUPPORT", 97),
];

/// `EAFNOSUPPORT`: there are no such sockets.
pub(super) const EAFNOSUPPORT: u16 = 97;

/// `EPERM`: recognised and refused.
pub(super) const EPERM: u16 = 1;

/// `ENOSYS`: as if the kernel had never heard of it.
pub(super) const ENOSYS: u16 = 38;

/// `EPERM` for 1, or the number where the data has no name for it.
pub(super) fn errno_name(errno: u16) -> String {
    ERRNOS
        .iter()
        .find(|(_, value)| *value == errno)
        .map_or_else(|| format!("errno {errno}"), |(name, _)| String::from(*name))
}
