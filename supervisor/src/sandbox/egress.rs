//! The way out of a run: its network leads to the egress process, which is a service, and tells what
//! went out and what did not.

use super::audit::Audit;
use super::by_entry::Entries;
use super::channel::watched;
use super::decisions::Decisions;
use super::ended::{Ended, ended};
use super::error::StartError;
use super::image;
use super::keys::Keys;
use super::lender::Lender;
use super::purse::{Membership, Purses};
use super::signatures::{Signature, Signatures, Signers};
use crate::network::{self, Inside, passed};
use crate::service::egress::NAME;
use crate::service::{Service, Wanted};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, Shutdown, SocketFlags, SocketType, recv, shutdown, socketpair,
};
use rustix::process::Pid;
use sandboxd_egress_plan::{EgressPlan, Record, Signing, Told, Ways, wire};
use sandboxd_profiles::Profile;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::time::Duration;
use tokio::io::unix::AsyncFd;

pub use super::by_entry::ByEntry;

/// How long the last records may take to come, once the command has ended.
const DRAIN: Duration = Duration::from_secs(2);
/// So many refusals are told apart; of the rest it is only told how many they are.
const TOLD_APART: usize = 64;

/// The egress process of a run.
pub(crate) struct Egress {
    service: Service,
    control: AsyncFd<OwnedFd>,
    /// How its network is led to it.
    ways: Ways,
    /// It has the sockets.
    led: bool,
    /// Where they wait for the last of them, which the shim makes.
    waiting: Option<Inside>,
    /// Whether there is one more.
    signs: bool,
    /// What it is handed with them, and nobody keeps.
    keys: Option<Keys>,
    /// Who makes connections for it to agents that keep keys.
    lender: Option<Lender>,
    heard: Heard,
    /// It said something that is no record: what it says now is not read.
    confused: bool,
}

/// To whom, why, and what lets it out.
type Refusal = (String, (&'static str, Option<&'static str>));

/// How often each was.
type Refusals = BTreeMap<Refusal, u64>;

/// What it has told.
struct Heard {
    used: Used,
    entries: Entries,
    refused: Refusals,
    signers: Signers,
    signatures: Signatures,
    /// What it uses up is used up for others too.
    budgets: Membership,
    decisions: Decisions,
    /// It told what cannot be.
    misfit: bool,
}

/// What went out of a run.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Used {
    /// Connections that were carried.
    pub connections: u64,
    /// Bytes that left.
    pub up_bytes: u64,
    /// Bytes that came back.
    pub down_bytes: u64,
    /// The same by each entry, the most bytes first.
    pub entries: Vec<ByEntry>,
    /// Where TLS was ended, so that requests were seen.
    pub ended: Vec<Ended>,
    /// What keys signed that the command does not have.
    pub signatures: Vec<Signature>,
    /// What was refused, most often first.
    pub refused: Vec<Refused>,
    /// Refusals beyond those.
    pub refused_others: u64,
    /// Connections, refusals and answers of models that were not counted, because there were too many at once.
    pub lost: u64,
}

/// Something that was not let out.
#[derive(Debug, Clone, Serialize)]
pub struct Refused {
    /// The name or address, and the port where one was meant.
    pub to: String,
    /// Why, in words.
    pub why: &'static str,
    /// What lets it out; nothing where that is not for the profile to say.
    pub remedy: Option<&'static str>,
    /// How often.
    pub times: u64,
}

impl Egress {
    /// Begins to start an egress process, and leads a network to it that nobody has used yet; where that is
    /// not there yet, it is [led](Self::lead) later.
    ///
    /// # Errors
    /// Where the kernel leads nothing, or a stream cannot be made.
    pub(crate) fn begin(
        plan: &EgressPlan,
        namespace: Option<&OwnedFd>,
        (run, audit): (&Profile, &Audit),
        purses: &Purses,
        keys: Keys,
    ) -> Result<Self, StartError> {
        let inside = namespace.map(|own| network::lead(own, plan.ways)).transpose()?;
        let told = wire::encode(plan)
            .map_err(|error| StartError::found("encode", format!("the egress plan: {error}")))?;
        // The egress process would refuse it without a word.
        wire::decode(&told)
            .map_err(|error| StartError::found("decode", format!("the egress plan: {error}")))?;
        let failed = |errno| StartError::call("socketpair", "the egress process's channel", errno);
        let (control, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .map_err(failed)?;
        let nothing = File::options()
            .write(true)
            .open("/dev/null")
            .map_err(|error| StartError::io("open", "/dev/null", &error))?;
        let service = Service::begin(Wanted {
            name: NAME,
            arguments: Vec::new(),
            run: run.clone(),
            audit: audit.clone(),
            streams: [image::plan(&told)?, nothing.into(), theirs],
        })?;
        let told = control
            .try_clone()
            .map_err(|error| StartError::io("fcntl", "the egress process", &error))?;
        let budgets = purses.join(&plan.budgets, told);
        let known = (plan.rules.as_slice(), plan.secrets.as_slice());
        let mut egress = Self {
            service,
            control: watched(control)?,
            ways: plan.ways,
            led: false,
            waiting: None,
            signs: !plan.agent.signers.is_empty(),
            keys: Some(keys),
            lender: None,
            heard: Heard {
                used: Used { ended: ended(plan), ..Used::default() },
                entries: Entries::of(&plan.rules),
                refused: BTreeMap::new(),
                signers: Signers::of(plan),
                signatures: Signatures::default(),
                budgets,
                decisions: Decisions::new(audit.clone(), run.name(), &plan.id, known),
                misfit: false,
            },
            confused: false,
        };
        inside.map_or(Ok(()), |inside| egress.hand_over(inside))?;
        Ok(egress)
    }

    /// Hands the sockets over, once all of them are there.
    fn hand_over(&mut self, inside: Inside) -> Result<(), StartError> {
        self.led = true;
        if self.signs {
            self.waiting = Some(inside);
            return Ok(());
        }
        self.send(&inside)
    }

    /// Hands over where an ssh-agent is asked, where the shim made that.
    ///
    /// # Errors
    /// Where it made one that is not wanted, or none.
    pub(crate) fn ask_at(&mut self, socket: Option<OwnedFd>) -> Result<(), StartError> {
        match (self.waiting.take(), socket) {
            (Some(mut inside), Some(socket)) => {
                inside.agent.push(socket);
                self.send(&inside)
            }
            (None, None) => Ok(()),
            (Some(_), None) | (None, Some(_)) => {
                Err(StartError::found("recvmsg", "the ssh-agent socket"))
            }
        }
    }

    fn send(&mut self, inside: &Inside) -> Result<(), StartError> {
        passed::send(inside, self.control.get_ref())
            .map_err(|errno| StartError::call("sendmsg", "the egress process's sockets", errno))?;
        if let Some(keys) = self.keys.take() {
            self.lender = keys
                .send(self.control.get_ref())
                .map_err(|errno| StartError::call("sendmsg", "the egress process's keys", errno))?;
        }
        self.heard.budgets.listens();
        Ok(())
    }

    /// Leads the network of this sandbox to it, where that was not there before.
    ///
    /// # Errors
    /// Where the kernel leads nothing.
    pub(crate) fn lead(&mut self, init: Pid) -> Result<(), StartError> {
        if self.led {
            return Ok(());
        }
        self.hand_over(network::user::lead(init, self.ways)?)
    }

    /// Waits until it runs.
    ///
    /// # Errors
    /// Why it does not.
    pub(crate) fn started(&mut self) -> Result<(), StartError> {
        self.service.started()
    }

    /// Counts what it tells, and returns once, when it has ended: the command does not go on without it.
    pub(crate) async fn over(&mut self) {
        let Self { service, control, heard, confused, .. } = self;
        let counted = async {
            heard.count(control, confused).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = service.over() => {}
            () = counted => {}
        }
    }

    /// Ends it, and tells what went out, and what could not be cleaned up.
    pub(crate) async fn finish(&mut self) -> (Used, Vec<String>) {
        // It ends at the end of what it hears, and says before that what was open until now.
        shutdown(self.control.get_ref(), Shutdown::Write).ok();
        let drained = async {
            while !self.confused {
                let Ok(mut ready) = self.control.readable().await else { break };
                match self.heard.take(self.control.get_ref()) {
                    Some(true) => {}
                    Some(false) => break,
                    None => ready.clear_ready(),
                }
            }
        };
        tokio::time::timeout(DRAIN, drained).await.ok();
        let mut left = self.service.finish(DRAIN);
        if self.heard.misfit {
            left.push(String::from("the egress process reported what its plan does not allow"));
        }
        left.extend(self.heard.decisions.close());
        let mut used = std::mem::take(&mut self.heard.used);
        used.entries = std::mem::take(&mut self.heard.entries).told();
        used.signatures = std::mem::take(&mut self.heard.signatures).told();
        used.refused = std::mem::take(&mut self.heard.refused)
            .into_iter()
            .map(|((to, (why, remedy)), times)| Refused { to, why, remedy, times })
            .collect();
        used.refused.sort_by_key(|refused| std::cmp::Reverse(refused.times));
        (used, left)
    }
}

impl Heard {
    /// Counts what it tells until it tells nothing more, or what is none.
    async fn count(&mut self, control: &AsyncFd<OwnedFd>, confused: &mut bool) {
        while !*confused {
            let Ok(mut ready) = control.readable().await else { break };
            *confused = match self.take(control.get_ref()) {
                Some(more) => !more,
                None => {
                    ready.clear_ready();
                    false
                }
            };
            // The others are to have their turn, however much it tells.
            tokio::task::yield_now().await;
        }
        // The end of what it hears is its own, and that ends the run: nothing goes out uncounted.
        shutdown(control.get_ref(), Shutdown::Both).ok();
    }

    /// Takes one message in; nothing where there is none now, false where there will be none.
    fn take(&mut self, control: &OwnedFd) -> Option<bool> {
        let mut bytes = [0_u8; Told::MOST + 1];
        let length = match recv(control, bytes.as_mut_slice(), RecvFlags::DONTWAIT) {
            Ok((length, _)) => length,
            Err(Errno::AGAIN | Errno::INTR) => return None,
            Err(_) => return Some(false),
        };
        if length == 0 {
            return Some(false);
        }
        let fits = match bytes.get(..length).map(Told::decode) {
            Some(Ok(Told::Record(record))) => {
                self.used.count(&record, &mut self.refused);
                self.entries.count(&record);
                self.decisions.told(&record)
            }
            Some(Ok(Told::Signing(signing))) => self.signed(&signing),
            Some(Ok(Told::Use(used))) => {
                self.budgets.used(&used);
                true
            }
            Some(Ok(Told::Level(level))) => {
                self.budgets.level(level);
                true
            }
            Some(Ok(Told::Lost(lost))) => {
                self.used.lost = self.used.lost.saturating_add(lost.into());
                self.decisions.untold(lost);
                true
            }
            Some(Err(_)) | None => false,
        };
        self.misfit |= !fits;
        Some(fits)
    }

    /// Whether it can be.
    fn signed(&mut self, told: &Signing) -> bool {
        let Some(said) = self.signers.said(told) else { return false };
        self.signatures.count(&said);
        if told.signed.is_refusal() {
            let to = said.key.as_ref().map_or_else(
                || String::from("a request to an ssh-agent"),
                |key| format!("a signature with {key}"),
            );
            let why = (told.signed.text(), told.signed.remedy());
            self.used.refused(&mut self.refused, (to, why));
        }
        self.decisions.signed(&said, told.signed);
        true
    }
}

impl Used {
    fn count(&mut self, record: &Record, refused: &mut Refusals) {
        self.up_bytes = self.up_bytes.saturating_add(record.up);
        self.down_bytes = self.down_bytes.saturating_add(record.down);
        if !record.verdict.is_refusal() {
            // One that was given up before it said whom it was for was not carried.
            self.connections = self.connections.saturating_add(u64::from(record.rule.is_some()));
            return;
        }
        let why = (record.verdict.text(), record.remedy());
        self.refused(refused, (to(record), why));
    }

    fn refused(&mut self, refused: &mut Refusals, key: Refusal) {
        if let Some(times) = refused.get_mut(&key) {
            *times = times.saturating_add(1);
        } else if refused.len() < TOLD_APART {
            refused.insert(key, 1);
        } else {
            self.refused_others = self.refused_others.saturating_add(1);
        }
    }
}

/// Whom it was for.
fn to(record: &Record) -> String {
    let whom = match (&record.name, record.address) {
        (Some(name), _) => name.to_string(),
        (None, Some(address)) if address.is_ipv6() => format!("[{address}]"),
        (None, Some(address)) => address.to_string(),
        (None, None) => "an unnamed destination".to_owned(),
    };
    if record.port == 0 { whom } else { format!("{whom}:{}", record.port) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::nowhere;
    use rustix::net::{SendFlags, send};

    #[test]
    fn an_egress_process_that_tells_nonsense_is_heard_no_more_and_hears_its_end() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for nonsense in [b"thread 'main' panicked".as_slice(), &[0xff; Told::MOST], &[0; 4]] {
            let (ours, theirs) =
                socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                    .unwrap();
            let purses = Purses::default();
            let mut heard = Heard {
                used: Used::default(),
                entries: Entries::default(),
                refused: BTreeMap::new(),
                signers: Signers::default(),
                signatures: Signatures::default(),
                budgets: purses.join(&[], ours.try_clone().unwrap()),
                decisions: Decisions::new(nowhere(), "case", "case-1", (&[], &[])),
                misfit: false,
            };
            send(&theirs, &7_u32.to_le_bytes(), SendFlags::empty()).unwrap();
            send(&theirs, nonsense, SendFlags::empty()).unwrap();
            let mut confused = false;
            runtime.block_on(async {
                let control = watched(ours).unwrap();
                let counted = heard.count(&control, &mut confused);
                tokio::time::timeout(Duration::from_secs(60), counted).await.unwrap();
                let ended = recv(&theirs, &mut [0; 1], RecvFlags::DONTWAIT).unwrap();
                assert_eq!(ended.0, 0, "it is not told that it is over");
            });
            assert!(confused && heard.misfit);
            assert_eq!(heard.used.lost, 7, "what it told before counts");
        }
    }
}
