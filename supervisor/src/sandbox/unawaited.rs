//! Records of a run for which nobody waits: that one could not be written stops nothing, so it is said, at once for
//! the first, and how many there were at the end.

use super::audit::Audit;
use sandboxd_audit::{AuditError, Durability, Record};

/// Writes records of one kind.
pub(crate) struct Unawaited {
    audit: Audit,
    /// What they are of, in words.
    of: &'static str,
    lost: u64,
    why: Option<AuditError>,
}

impl Unawaited {
    /// Records of this, in this log.
    pub(crate) const fn new(audit: Audit, of: &'static str) -> Self {
        Self { audit, of, lost: 0, why: None }
    }

    /// Where they are written.
    pub(crate) const fn audit(&self) -> &Audit {
        &self.audit
    }

    /// Writes one. Where one before did not get to the disk, none after it does.
    pub(crate) fn write(&mut self, record: Record) {
        if !self.audit.is_kept() {
            return;
        }
        let written = self.audit.append(record, Durability::Grouped);
        if let Err(error) = written.and_then(|_| self.audit.held()) {
            self.failed(error);
        }
    }

    /// One is lost.
    pub(crate) fn failed(&mut self, error: AuditError) {
        self.lost += 1;
        self.audit.lost();
        if self.why.is_none() {
            self.audit.alarm(&error);
            self.why = Some(error);
        }
    }

    /// What was lost, of which somebody must know.
    pub(crate) fn close(&mut self) -> Option<String> {
        let why = self.why.take().filter(|_| !self.audit.is_waived())?;
        let (lost, of, why) = (self.lost, self.of, crate::audit_folder::line(&why));
        Some(format!("{lost} records of {of} were not written to the audit log: {why}"))
    }
}
