//! What is written down about a run: that its command is let go, with everything that is enforced, or
//! why it was not; and how it ended. No byte that the command wrote is among it, but for names, which
//! are bounded.

use super::deadline::doing;
use super::error::StartError;
use super::receipt::{Receipt, RunResult};
use crate::audit_folder::fact_of;
use crate::metrics::{Audited, Meter};
use crate::secret::Secrets;
use sandboxd_audit::record::Actor;
use sandboxd_audit::redact::{Redactor, is_secret_name};
use sandboxd_audit::{
    AuditError, Commit, Durability, Folder, Hidden, Kind, Record, Unwritten, Writer, chain::digest,
};
use sandboxd_broker::limit::Position;
use sandboxd_plan::{Plan, Text};
use sandboxd_profiles::Profile;
use sandboxd_profiles::host::AuditFact;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// The audit log of this process, for all that it runs. Whoever begins it ends it.
pub struct AuditLog(Arc<Log>);

struct Log {
    writer: Writer,
    /// What must not be written down.
    secrets: Mutex<Known>,
    /// Whether what is run lets it be lacking: what the first profile says.
    waived: OnceLock<bool>,
    alarm: Alarm,
    /// Counts what is told, whatever becomes of it.
    meter: Meter,
}

/// What must not be written down.
#[derive(Default)]
struct Known {
    /// Names and values of variables.
    variables: BTreeSet<(String, String)>,
    /// Secrets that runs hold.
    held: Vec<Arc<Hidden>>,
}

impl Known {
    fn redactor(&self) -> Redactor {
        let all = self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        Redactor::of(all).and(self.held.clone())
    }
}

/// Says that something was not written down, while what it is about goes on.
type Alarm = fn(&AuditError);

/// The log of the audit, as one run has it.
#[derive(Clone)]
pub struct Audit {
    log: Arc<Log>,
    /// The profile lets the run go without.
    waived: bool,
}

impl AuditLog {
    /// Begins to open it, in a thread of its own, in the folder that `open` finds. `alarm` is called
    /// where a record of a call is lost that goes on.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub fn begin(
        open: impl FnOnce() -> Result<Folder, AuditError> + Send + 'static,
        alarm: fn(&AuditError),
    ) -> Result<Self, StartError> {
        let writer = Writer::begin(open)?;
        let log = Log {
            writer,
            secrets: Mutex::default(),
            waived: OnceLock::new(),
            alarm,
            meter: Meter::default(),
        };
        let own = std::env::vars_os();
        log.redact(own.map(|(name, value)| {
            (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())
        }));
        Ok(Self(Arc::new(log)))
    }

    /// As a run of this profile has it.
    #[must_use]
    pub fn of(&self, profile: &Profile) -> Audit {
        let waived = profile.require.waives("audit").is_some();
        self.0.waived.get_or_init(|| waived);
        Audit { log: Arc::clone(&self.0), waived }
    }

    /// Writes down what a person did, that is of no run.
    ///
    /// # Errors
    /// Where it cannot be written. It is on the disk once the log was ended.
    pub(crate) fn told(&self, record: Record) -> Result<(), StartError> {
        Ok(self.0.writer.append(record, Durability::Grouped).map(drop)?)
    }

    /// A command was not run.
    pub fn refused(&self, name: &str, error: &StartError) {
        self.0.refused(name, error);
    }

    /// Tells that so many calls wait for somebody to approve them.
    pub fn waiting(&self) -> impl Fn(u64) + Send + Sync + 'static {
        let log = Arc::clone(&self.0);
        move |calls| log.meter.waiting(calls)
    }

    /// Writes what was counted so far, as Prometheus reads it.
    pub fn metrics(&self) -> impl Fn() -> String + Send + 'static {
        let log = Arc::clone(&self.0);
        move || {
            let [lag, unsigned] = log.writer.waits();
            let (up, signed) = (log.writer.held().is_ok(), log.writer.signed());
            log.meter.text(Audited { up, lag, unsigned, signed })
        }
    }

    /// What kept this process from closing logs of supervisors that died, or from removing what was kept long
    /// enough; as far as that is known, or once all of it `was_tried`.
    #[must_use]
    pub fn untended(&self, was_tried: bool) -> Option<StartError> {
        let writer = &self.0.writer;
        let why = if was_tried { writer.tended() } else { writer.untended() };
        why.map(StartError::from)
    }

    /// Ends it. Whatever is told to it from here on is not written.
    ///
    /// # Errors
    /// Where it was opened and cannot be ended, and must be.
    pub fn end(self) -> Result<(), StartError> {
        let kept = self.0.is_kept();
        let waived = self.0.waived.get().is_some_and(|waived| *waived);
        match self.0.writer.close() {
            Err(error) if kept && !waived => Err(error.into()),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

impl Log {
    /// Whether records are written. Waits until that is known.
    fn is_kept(&self) -> bool {
        self.writer.ready().is_ok()
    }

    /// Takes out what these variables call a secret by their names, from now on.
    fn redact(&self, variables: impl Iterator<Item = (String, String)>) {
        let mut known = self.known();
        let before = known.variables.len();
        known.variables.extend(variables.filter(|(name, _)| is_secret_name(name)));
        if known.variables.len() > before {
            self.writer.redact(known.redactor());
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // A thread that panicked ends the process.
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a record, and writes it where records are written.
    fn append(&self, record: Record) -> Result<(), AuditError> {
        self.meter.count(&record);
        if !self.is_kept() {
            return Ok(());
        }
        // Nobody waits for the disk; the kernel has it.
        self.writer.append(record, Durability::Grouped).map(drop)
    }

    fn refused(&self, name: &str, error: &StartError) {
        let mut told = error.json(name);
        let rule = told.get("stage").and_then(Value::as_str).unwrap_or("profile").to_owned();
        if let Some(map) = told.as_object_mut() {
            map.remove("not_started");
        }
        let mut record = Record::of(Kind::Refused);
        record.actor = Some(Actor { agent: name.to_owned(), ..Actor::default() });
        record.decision = Some("refused");
        record.rule = Some(rule);
        record.result = told;
        // It is refused whether that can be written down or not, and why has been said.
        self.append(record).ok();
    }
}

impl Audit {
    /// The same log, as what is run for this run has it.
    pub(crate) fn of(&self, profile: &Profile) -> Self {
        AuditLog(Arc::clone(&self.log)).of(profile)
    }

    /// Waits until it is known where it lies, or why it cannot be written.
    pub(crate) fn fact(&self) -> AuditFact {
        doing("opening the audit log");
        fact_of(self.log.writer.ready())
    }

    /// The command is about to be let go.
    ///
    /// # Errors
    /// Where that cannot be written down, and must be.
    pub(crate) fn started(
        &self,
        profile: &Profile,
        plan: &Plan,
        receipt: &dyn Fn() -> Receipt,
        ready: Value,
    ) -> Result<(), StartError> {
        let env = plan.exec.env.iter().map(lossy);
        self.log.redact(env.filter_map(|one| {
            one.split_once('=').map(|(name, value)| (name.into(), value.into()))
        }));
        let receipt = receipt();
        let args: Vec<&[u8]> = plan.exec.argv.iter().map(Text::as_bytes).collect();
        let args = args.join(&0);
        let mut record = Record::of(Kind::Started);
        record.actor = Some(Actor {
            agent: profile.name().to_owned(),
            instance: Some(plan.id.clone()),
            profile_sha256: Some(receipt.profile_sha256.clone()),
            cgroup: receipt.outside.cgroup_id,
            pid: Some(receipt.outside.pid),
            uid: Some(receipt.uid),
        });
        record.method = plan.exec.argv.first().map(lossy);
        record.args_sha256 = Some(digest(&args));
        record.args_bytes = u64::try_from(args.len()).ok();
        record.decision = Some("allowed");
        record.receipt = encoded(&receipt)?;
        record.result = ready;
        self.log
            .append(record)
            .or_else(|error| if self.waived { Ok(()) } else { Err(error.into()) })
    }

    /// Takes these secrets out of every record from now on.
    ///
    /// # Errors
    /// Where there is no memory to hold what is looked for.
    pub(crate) fn hide(&self, secrets: &Secrets) -> Result<(), StartError> {
        let mut known = self.log.known();
        let before = known.held.len();
        for secret in secrets.all().iter().filter(|secret| !secret.is_public()) {
            let hidden = secret.hidden()?;
            // What is called reads the same at each of its starts.
            if !known.held.iter().any(|held| held.is_same(&hidden)) {
                known.held.push(Arc::new(hidden));
            }
        }
        if known.held.len() > before {
            self.log.writer.redact(known.redactor());
        }
        Ok(())
    }

    /// A text that others had a hand in, without the secrets that runs hold.
    pub(crate) fn clean(&self, text: &str) -> String {
        let held = self.log.known().held.clone();
        Redactor::default().and(held).clean(text).into_owned()
    }

    /// Whether records are written.
    pub(crate) fn is_kept(&self) -> bool {
        self.log.is_kept()
    }

    /// Whether the profile lets records be lacking.
    pub(crate) const fn is_waived(&self) -> bool {
        self.waived
    }

    /// Adds a record.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(crate) fn append(
        &self,
        record: Record,
        durability: Durability,
    ) -> Result<Commit, AuditError> {
        self.log.writer.append(record, durability)
    }

    /// Adds records, for which nobody waits.
    ///
    /// # Errors
    /// Where some of them cannot be written.
    pub(crate) fn append_all(&self, records: Vec<Record>) -> Result<Commit, Unwritten> {
        self.log.writer.append_all(records, Durability::Grouped)
    }

    /// Whether all that was written could be brought to the disk, as far as is known.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn held(&self) -> Result<(), AuditError> {
        self.log.writer.held()
    }

    /// Counts a record that is written by [`append`](Self::append), or is not written.
    pub(crate) fn count(&self, record: &Record) {
        self.log.meter.count(record);
    }

    /// Tells what a callee has before it.
    pub(crate) fn load(&self, callee: &str, calls: u64, breaker: Position) {
        self.log.meter.load(callee, calls, breaker);
    }

    /// Counts records that were lost.
    pub(crate) fn lost(&self, records: u64) {
        self.log.meter.lost(records);
    }

    /// Says that something was not written down.
    pub(crate) fn alarm(&self, error: &AuditError) {
        (self.log.alarm)(error);
    }

    /// A command was not run.
    pub(crate) fn refused(&self, name: &str, error: &StartError) {
        self.log.refused(name, error);
    }

    /// What was written down as started never ran, as where its program cannot be executed.
    pub(crate) fn not_started(&self, name: &str, sandbox: &str) {
        let mut record = Record::of(Kind::Ended);
        record.actor = Some(Actor {
            agent: name.to_owned(),
            instance: Some(sandbox.to_owned()),
            ..Actor::default()
        });
        record.result = json!({ "not_started": true });
        // It is not run whether that can be written down or not, and why is said.
        self.log.append(record).ok();
    }

    /// The command ended; gives what went wrong with the log.
    pub(crate) fn ended(&self, name: &str, result: &RunResult, left: &[String]) -> Option<String> {
        let error = self.end_of(name, result, left).err().filter(|_| !self.waived)?;
        Some(format!("its end was not written to the audit log: {}", error.line()))
    }

    fn end_of(&self, name: &str, result: &RunResult, left: &[String]) -> Result<(), StartError> {
        let mut record = Record::of(Kind::Ended);
        record.actor = Some(Actor {
            agent: name.to_owned(),
            instance: Some(result.sandbox.clone()),
            ..Actor::default()
        });
        record.result = encoded(result)?;
        if let (Some(map), false) = (record.result.as_object_mut(), left.is_empty()) {
            map.insert(String::from("left"), json!(left));
        }
        Ok(self.log.append(record)?)
    }
}

fn encoded(what: &impl serde::Serialize) -> Result<Value, StartError> {
    serde_json::to_value(what).map_err(|error| StartError::found("encode", error.to_string()))
}

fn lossy(text: &Text) -> String {
    String::from_utf8_lossy(text.as_bytes()).into_owned()
}

impl From<AuditError> for StartError {
    fn from(AuditError { call, subject, errno, remedy }: AuditError) -> Self {
        Self::Call { call, subject, errno, remedy }
    }
}

/// One that is written nowhere.
#[cfg(test)]
pub(crate) fn nowhere() -> Audit {
    let none = AuditError::found("open", "an audit log", "none");
    let log = AuditLog::begin(|| Err(none), |_| {}).unwrap();
    log.0.waived.get_or_init(|| false);
    Audit { log: log.0, waived: false }
}

/// What was counted of what was told to it.
#[cfg(test)]
pub(crate) fn counted(audit: &Audit) -> String {
    AuditLog(Arc::clone(&audit.log)).metrics()()
}
