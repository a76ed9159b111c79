//! Records of a run for which nobody waits: that one could not be written stops nothing, so it is said, at once for
//! the first, and how many there were at the end.

use super::audit::Audit;
use sandboxd_audit::{AuditError, Record, Unwritten};

/// Writes records of one kind.
pub(crate) struct Unawaited {
    audit: Audit,
    /// What they are of, in words.
    of: &'static str,
    /// Not written yet: they are, together, before anything else is.
    gathered: Vec<Record>,
    lost: u64,
    why: Option<AuditError>,
}

impl Unawaited {
    /// Records of this, in this log.
    pub(crate) const fn new(audit: Audit, of: &'static str) -> Self {
        Self { audit, of, gathered: Vec::new(), lost: 0, why: None }
    }

    /// Where they are written.
    pub(crate) const fn audit(&self) -> &Audit {
        &self.audit
    }

    /// Writes one.
    pub(crate) fn write(&mut self, record: Record) {
        self.gather(record);
        self.settle();
    }

    /// Leaves one to be written with those that come with it.
    pub(crate) fn gather(&mut self, record: Record) {
        self.gathered.push(record);
    }

    /// Writes what was gathered. Where one before did not get to the disk, none after it does.
    pub(crate) fn settle(&mut self) {
        let records = std::mem::take(&mut self.gathered);
        if records.is_empty() || !self.audit.is_kept() {
            return;
        }
        let count = u64::try_from(records.len()).unwrap_or(u64::MAX);
        match self.audit.append_all(records).map(|_| self.audit.held()) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.lost(count, error),
            Err(Unwritten { records, why }) => self.lost(records, why),
        }
    }

    /// One is lost.
    pub(crate) fn failed(&mut self, error: AuditError) {
        self.lost(1, error);
    }

    fn lost(&mut self, records: u64, error: AuditError) {
        self.lost += records;
        self.audit.lost(records);
        if self.why.is_none() {
            self.audit.alarm(&error);
            self.why = Some(error);
        }
    }

    /// What was lost, of which somebody must know.
    pub(crate) fn close(&mut self) -> Option<String> {
        self.settle();
        let why = self.why.take().filter(|_| !self.audit.is_waived())?;
        let (lost, of, why) = (self.lost, self.of, crate::audit_folder::line(&why));
        Some(format!("{lost} records of {of} were not written to the audit log: {why}"))
    }
}
