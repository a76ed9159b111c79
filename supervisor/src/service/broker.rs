//! The service `broker`. The supervisor, who gives it streams, is at standard error. As `sandboxd mcp`
//! starts it, the client is at standard input and output, and what it may carry stands on its command
//! line. For a command that calls, its plan is standard input, and records go to standard output.

use super::channel::{Told, Wish, receive, say_meant, say_records, say_seen};
use super::gathered;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::rand::GetRandomFlags;
use sandboxd_broker::approve::Approvals;
use sandboxd_broker::io::{Carrier, Owner, Pair, Said, now};
use sandboxd_broker::limit::kept::{self, HEADER, SLOT, Slot};
use sandboxd_broker::limit::{Buckets, Moment, Saved};
use sandboxd_broker::relay::{CallId, ConnectionId, InstanceId, Load, Output, Relay};
use sandboxd_broker_plan::record::Record;
use sandboxd_broker_plan::{BrokerPlan, Name, wire};
use sandboxd_kernel::fds::take;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;

pub(crate) const NAME: &str = "broker";

/// The number under which a broker for one client and one server finds the server's stream.
pub(crate) const FIRST: u64 = 0;

/// Carries until the client or the server is gone; without a plan, until the supervisor is.
///
/// # Errors
/// Where the plan is none, or a stream breaks.
pub(crate) fn serve(plan: Option<&str>) -> io::Result<()> {
    match plan {
        Some(plan) => between(decode(plan.as_bytes())?),
        None => among(),
    }
}

fn decode(plan: &[u8]) -> io::Result<BrokerPlan> {
    wire::decode(plan).map_err(|error| io::Error::other(error.to_string()))
}

fn carry(plan: BrokerPlan, owner: &mut impl Owner) -> io::Result<()> {
    let relay = Relay::new(plan, now()?).map_err(|error| io::Error::other(format!("{error:?}")))?;
    let mut secret = [0; 32];
    rustix::rand::getrandom(&mut secret, GetRandomFlags::empty())?;
    Carrier::new(relay, Approvals::somebody(secret))?.run(owner)
}

/// One client and one server.
fn between(plan: BrokerPlan) -> io::Result<()> {
    let [edge] = plan.edges.as_slice() else {
        return Err(io::Error::other("a client has one edge"));
    };
    let (caller, edge) = (edge.caller.clone(), edge.name.clone());
    let keeper = Keeper::new(&plan);
    carry(plan, &mut Outside::new(caller, edge, keeper)?)
}

/// All that the supervisor lets in.
fn among() -> io::Result<()> {
    // What stands for placeholders is for nobody who has the same user, and for no core.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let mut plan = Vec::new();
    File::from(take(0)?).read_to_end(&mut plan)?;
    let plan = decode(&plan)?;
    let callers = plan.callers.iter().map(|caller| caller.name.clone()).collect();
    let keeper = Keeper::new(&plan);
    carry(plan, &mut Supervisor { channel: take(2)?, records: take(1)?, callers, keeper })
}

/// One client and one server, both there from the start.
struct Outside {
    caller: Name,
    /// The server's pipes, until the relay wants them.
    server: Option<Pair>,
    said: VecDeque<Said>,
    channel: OwnedFd,
    keeper: Keeper,
}

impl Outside {
    fn new(caller: Name, edge: Name, mut keeper: Keeper) -> io::Result<Self> {
        let (input, output, channel) = (take(0)?, take(1)?, take(2)?);
        let mut said = VecDeque::new();
        let mut told = receive(&channel)?.and_then(Told::heard);
        if let Some((Told::Limits, [Some(file), None])) = told {
            said.push_back(Said::Kept(keeper.take(file)?));
            told = receive(&channel)?.and_then(Told::heard);
        }
        let server = match told {
            Some((Told::Started(FIRST), [Some(input), Some(output)])) => {
                Some(Pair::Two { input, output })
            }
            Some(_) | None => return Err(io::Error::other("the supervisor gave no server")),
        };
        let opened = Said::Opened {
            connection: ConnectionId(0),
            caller: caller.clone(),
            edge: Some(edge),
            behalf: None,
            pair: Pair::Two { input, output },
        };
        said.push_back(opened);
        Ok(Self { caller, server, said, channel, keeper })
    }

    fn say(&mut self, said: Said) {
        self.said.push_back(said);
    }
}

impl Owner for Outside {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }

    fn has_more(&self) -> bool {
        !self.said.is_empty()
    }

    fn hear(&mut self) -> io::Result<Option<Said>> {
        if let Some(said) = self.said.pop_front() {
            return Ok(Some(said));
        }
        match receive(&self.channel) {
            Ok(Some(packet)) => match Told::heard(packet) {
                Some((Told::Approver(number), [Some(stream), None])) => {
                    Ok(Some(Said::Approver { number, stream }))
                }
                Some((Told::Recorded { call, written }, _)) => {
                    Ok(Some(Said::Recorded { call: CallId(call), written }))
                }
                Some(_) | None => Err(io::Error::other("the supervisor sent an invalid message")),
            },
            Ok(None) | Err(Errno::CONNRESET) => Ok(Some(Said::Gone)),
            Err(Errno::AGAIN) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    fn tell(&mut self, output: Output) -> io::Result<()> {
        match output {
            Output::Start { instance, .. } => {
                let said = match self.server.take() {
                    Some(pair) => Said::Started { instance, pair },
                    // There is one server, and it is gone.
                    None => Said::Ended(instance),
                };
                self.say(said);
            }
            // Without its server a client has nobody to talk to.
            Output::Stop(_) => self.say(Said::CallerGone(self.caller.clone())),
            Output::Close(_) => self.say(Said::Gone),
            Output::Durable(record) => {
                return told(say_records(&[record], self.channel.as_fd()));
            }
            Output::Seen(seen, words) => {
                return told(say_seen(&seen, &words, self.channel.as_fd()));
            }
            Output::Meant(meant) => return told(say_meant(&meant, self.channel.as_fd())),
            Output::Record(_)
            | Output::Ask(_)
            | Output::Withdraw(_)
            | Output::ToCaller(..)
            | Output::ToCallee(..)
            | Output::Swapped(..)
            | Output::Revoked(_) => {}
        }
        Ok(())
    }

    fn record(&mut self, records: &[Record]) -> io::Result<()> {
        told(say_records(records, self.channel.as_fd()))
    }

    fn keep(&mut self, charged: &[(usize, Moment)]) -> io::Result<()> {
        self.keeper.keep(charged)
    }

    fn waits(&mut self, calls: usize) -> io::Result<()> {
        let calls = u64::try_from(calls).map_err(io::Error::other)?;
        told(Wish::Waits(calls).say(self.channel.as_fd()))
    }

    fn load(&mut self, callee: usize, load: Load) -> io::Result<()> {
        say_load(callee, load, self.channel.as_fd())
    }
}

/// Whoever gives streams, at the other end of a channel.
struct Supervisor {
    channel: OwnedFd,
    /// For records that no call waits for.
    records: OwnedFd,
    /// Their names, by the places that the supervisor uses.
    callers: Vec<Name>,
    keeper: Keeper,
}

impl Supervisor {
    fn caller(&self, place: u64) -> Option<Name> {
        usize::try_from(place).ok().and_then(|place| self.callers.get(place)).cloned()
    }
}

impl Owner for Supervisor {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }

    fn hear(&mut self) -> io::Result<Option<Said>> {
        let packet = match receive(&self.channel) {
            Ok(Some(packet)) => packet,
            // With something of ours unread, its end is told so.
            Ok(None) | Err(Errno::CONNRESET) => return Ok(Some(Said::Gone)),
            Err(Errno::AGAIN) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        };
        let unknown = || io::Error::other("the supervisor sent an invalid message");
        let said = match Told::heard(packet).ok_or_else(unknown)? {
            (Told::Opened { connection, caller, behalf }, [Some(stream), None]) => Said::Opened {
                connection: ConnectionId(connection),
                caller: self.caller(caller).ok_or_else(unknown)?,
                edge: None,
                behalf: (behalf != 0).then_some(InstanceId(behalf)),
                pair: Pair::One(stream),
            },
            (Told::Secrets { caller, behalf }, [Some(line), None]) => Said::Secrets {
                caller: self.caller(caller).ok_or_else(unknown)?,
                behalf: (behalf != 0).then_some(InstanceId(behalf)),
                line,
            },
            (Told::Started(instance), [Some(input), Some(output)]) => {
                let pair = Pair::Two { input, output };
                Said::Started { instance: InstanceId(instance), pair }
            }
            (Told::Ended(instance), _) => Said::Ended(InstanceId(instance)),
            (Told::Approver(number), [Some(stream), None]) => Said::Approver { number, stream },
            (Told::Recorded { call, written }, _) => Said::Recorded { call: CallId(call), written },
            (Told::Revoked(edge), _) => {
                Said::Revoked(usize::try_from(edge).map_err(|_| unknown())?)
            }
            (Told::Limits, [Some(file), None]) => Said::Kept(self.keeper.take(file)?),
            (
                Told::Opened { .. }
                | Told::Secrets { .. }
                | Told::Started(_)
                | Told::Approver(_)
                | Told::Limits,
                _,
            ) => return Err(unknown()),
        };
        Ok(Some(said))
    }

    fn tell(&mut self, output: Output) -> io::Result<()> {
        let wish = match output {
            Output::Start { instance, edge, connection } => Wish::Start {
                instance: instance.0,
                edge: u64::try_from(edge).map_err(io::Error::other)?,
                connection: connection.0,
            },
            Output::Stop(instance) => Wish::Stop(instance.0),
            Output::Close(connection) => Wish::Closed(connection.0),
            Output::Revoked(edge) => Wish::Revoked(u64::try_from(edge).map_err(io::Error::other)?),
            Output::Durable(record) => return told(say_records(&[record], self.channel.as_fd())),
            Output::Seen(seen, words) => {
                return told(say_seen(&seen, &words, self.channel.as_fd()));
            }
            Output::Meant(meant) => return told(say_meant(&meant, self.channel.as_fd())),
            Output::Record(_)
            | Output::Ask(_)
            | Output::Withdraw(_)
            | Output::ToCaller(..)
            | Output::ToCallee(..)
            | Output::Swapped(..) => return Ok(()),
        };
        told(wish.say(self.channel.as_fd()))
    }

    fn record(&mut self, records: &[Record]) -> io::Result<()> {
        told(gathered::say(records, self.records.as_fd()))
    }

    fn keep(&mut self, charged: &[(usize, Moment)]) -> io::Result<()> {
        self.keeper.keep(charged)
    }

    fn waits(&mut self, calls: usize) -> io::Result<()> {
        let calls = u64::try_from(calls).map_err(io::Error::other)?;
        told(Wish::Waits(calls).say(self.channel.as_fd()))
    }

    fn load(&mut self, callee: usize, load: Load) -> io::Result<()> {
        say_load(callee, load, self.channel.as_fd())
    }
}

fn say_load(callee: usize, load: Load, to: BorrowedFd<'_>) -> io::Result<()> {
    let number = |number: usize| u64::try_from(number).map_err(io::Error::other);
    let Load { waiting, breaker } = load;
    told(Wish::Load { callee: number(callee)?, waiting: number(waiting)?, breaker }.say(to))
}

/// What is left of buckets, where that is kept.
struct Keeper {
    keys: Vec<String>,
    file: Option<File>,
    /// The slots as they are in the file.
    slots: Vec<u8>,
}

impl Keeper {
    fn new(plan: &BrokerPlan) -> Self {
        Self { keys: Buckets::new(plan).keys(), file: None, slots: Vec::new() }
    }

    /// What is in a file of the supervisor's, which has a slot for each bucket, in their order.
    fn take(&mut self, file: OwnedFd) -> io::Result<Vec<Saved>> {
        let file = File::from(file);
        self.slots = vec![0; SLOT * self.keys.len()];
        file.read_exact_at(&mut self.slots, at(HEADER)?)?;
        let mut saved = Vec::new();
        for (bytes, name) in self.slots.chunks_exact(SLOT).zip(&self.keys) {
            let slot = bytes.try_into().ok().and_then(Slot::decode);
            let slot = slot.filter(|slot| slot.key == kept::key(name));
            let slot =
                slot.ok_or_else(|| io::Error::other("the supervisor's limits are invalid"))?;
            saved.push(Saved { key: name.clone(), full: slot.full });
        }
        self.file = Some(file);
        Ok(saved)
    }

    /// Writes the slots from the first that changed to the last, at once: a call waits for it.
    fn keep(&mut self, charged: &[(usize, Moment)]) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let unknown = || io::Error::other("no such bucket");
        let (mut first, mut last) = (self.slots.len(), 0);
        for (place, full) in charged {
            let (from, to) = (SLOT * place, SLOT * (place + 1));
            let bytes = self.slots.get_mut(from..to).ok_or_else(unknown)?;
            let key = bytes.first_chunk().ok_or_else(unknown)?;
            bytes.copy_from_slice(&Slot { key: *key, full: *full }.encode());
            (first, last) = (first.min(from), last.max(to));
        }
        let changed = self.slots.get(first..last).unwrap_or_default();
        file.write_all_at(changed, at(HEADER + first)?)
    }
}

/// A place in a file.
fn at(place: usize) -> io::Result<u64> {
    u64::try_from(place).map_err(io::Error::other)
}

/// Said, but to nobody where it is gone: that is heard next.
fn told(said: rustix::io::Result<()>) -> io::Result<()> {
    match said {
        Ok(()) | Err(Errno::PIPE | Errno::CONNRESET) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
