//! What is known of a run, whichever way it ended.

use super::denials::Denials;
use super::egress::Used;
use super::watch::Before;
use crate::calls::Called;
use std::time::Instant;

/// What is known of a run, whichever way it ended.
#[derive(Default)]
pub(super) struct Ran {
    /// The command was let go: from here on it may have run.
    pub(super) went: bool,
    /// The audit log says that it was started.
    pub(super) written: bool,
    /// It was kept ready, and its command never let go.
    pub(super) unused: bool,
    /// When somebody claimed it.
    pub(super) claimed: Option<Instant>,
    /// What was there then: while it waited, others may have changed it.
    pub(super) before: Option<Before>,
    /// Nothing of it is alive.
    pub(super) dead: bool,
    /// SHA-256 of the receipt, where it was asked for.
    pub(super) receipt_sha256: Option<String>,
    /// What could not be cleaned up beside the sandbox itself.
    pub(super) left: Vec<String>,
    /// What went out.
    pub(super) egress: Option<Used>,
    /// What was refused; nothing where nobody was asked.
    pub(super) denials: Option<Denials>,
    /// What came of calls.
    pub(super) called: Vec<Called>,
}
