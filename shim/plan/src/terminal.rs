//! Stage `terminal`: the terminal that the command has, never one of the host's.

use crate::JailPath;
use serde::{Deserialize, Serialize};

/// A pseudoterminal of the sandbox's own, pty(7). Its other end goes to the supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terminal {
    /// What is opened to make one: the multiplexer of the sandbox's own devpts.
    pub multiplexer: JailPath,
    /// Which of standard input, output and error are it, at least one; the others stay what the
    /// supervisor gave.
    pub streams: [bool; 3],
}
