//! What somebody is asked to approve, and what they decide.

use super::CallId;
use crate::limit::Moment;

/// What was decided about a call that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on, once.
    Approved,
    /// It does not: why, which its caller is told.
    Denied(String),
}

/// What somebody is asked to approve: this call, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// The call.
    pub call: CallId,
    /// Who calls, as the kernel proved it.
    pub caller: String,
    /// On whose behalf, the first first; one for each call that the caller is answering.
    pub chains: Vec<Vec<String>>,
    /// Over which edge.
    pub edge: String,
    /// Who is called.
    pub callee: String,
    /// The method.
    pub method: String,
    /// The tool, URI or prompt.
    pub name: String,
    /// The canonical JSON of the parameters, which the caller wrote.
    pub parameters: String,
    /// What the answer must carry: SHA-256 over caller, edge, generation, method and parameters.
    pub digest: [u8; 32],
    /// When no answer is a denial.
    pub expires: Moment,
}
