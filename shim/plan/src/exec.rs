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
    /// Granted descriptors of sockets that somebody listens at for the command: it finds them from 3 on, in
    /// this order, with `LISTEN_PID` in its environment, sd_listen_fds(3).
    pub sockets: Vec<u32>,
}
