//! Stage `exec`: the command.

use crate::{JailPath, Text};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// What is executed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exec {
    /// Where the program may lie, in the order of the sandbox's own `PATH`; the first that exists is
    /// executed. One entry where the profile names a path.
    pub candidates: Vec<JailPath>,
    /// Arguments, the program's name first.
    pub argv: Vec<Text>,
    /// The whole environment, `NAME=value`.
    pub env: Vec<Text>,
    /// Working directory.
    pub cwd: JailPath,
    /// The granted descriptor of the file whose digest the supervisor checked: what is executed must
    /// be this very inode.
    pub pinned: Option<u32>,
}
