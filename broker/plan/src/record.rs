//! What the broker tells the supervisor to write down: every decision, every end of a call, and what
//! looks like an attack, as messages of one fixed size.
//!
//! The supervisor reads numbers: places in the plan, sizes, words of a closed list, and a digest.
//! Nothing that an agent or a tool wrote is in a record.

mod numbers;
mod words;

use numbers::Numbers;

pub use crate::fixed::RecordError;
pub use words::{Method, Rule};

/// The bytes of a record.
pub const SIZE: usize = 88;

/// A place, where none is meant.
const NONE: u32 = u32::MAX;

/// One thing that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// The edge, by its place in the plan; nothing where none is meant.
    pub edge: Option<u32>,
    /// The connection; 0 where none is meant.
    pub connection: u64,
    /// The instance; 0 where none is meant.
    pub instance: u64,
    /// The call; 0 where none is meant.
    pub call: u64,
    /// What happened.
    pub event: Event,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A call was allowed, and is passed on.
    Allowed(What),
    /// A call was refused.
    Refused(What, Rule),
    /// A person approved a call that was held: the supervisor's number of whoever it was.
    Approved(What, u32),
    /// A person denied it.
    Denied(What, u32),
    /// A call that was passed on has ended.
    Finished {
        /// How.
        outcome: Outcome,
        /// Bytes of the answer.
        bytes: u64,
        /// From the request to the answer, in milliseconds.
        millis: u64,
    },
    /// A caller wrote what is no message.
    Malformed,
    /// A caller wanted an edge that it does not have; its connection was closed.
    NoEdge,
    /// A connection was closed for what is no message.
    Struck,
    /// A connection was closed, or an instance for all stopped, because too much was held in memory for it.
    Overfull,
    /// A caller is refused everything for a while.
    Quarantined,
    /// A callee is left alone for a while.
    BreakerOpened,
    /// A tool was pinned as it was first seen.
    ToolPinned(Tool),
    /// A tool is not what it was, and hidden.
    ToolChanged(Tool),
    /// A tool's arguments cannot be checked, or no more tools are pinned, so it is hidden.
    ToolUncheckable(Tool),
    /// A tool's definition says a secret that its callee may have been given, so it is hidden.
    ToolTells(Tool),
    /// A callee asked back, and that was passed on.
    AskedBack,
    /// A callee asked back, and that was refused.
    AskedInVain,
    /// A callee wrote what is no message, or an answer to nothing, so often by now; it was dropped.
    Stray(u32),
}

/// A call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct What {
    /// Its method.
    pub method: Method,
    /// The first that has its name, among [`Method::names`] of its edge; nothing where none has.
    pub name: Option<u32>,
    /// SHA-256 over the canonical JSON of its parameters without `_meta` and `requestState`.
    pub digest: [u8; 32],
    /// Bytes of the message.
    pub bytes: u64,
    /// The secrets that stand in its arguments: a bit for each place in the caller's list.
    pub secrets: u64,
}

/// A tool as its callee defines it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tool {
    /// The first that has its name, among the tools that its edge reaches; nothing where none has.
    pub name: Option<u32>,
    /// SHA-256 over the canonical JSON of its definition without `_meta`.
    pub digest: [u8; 32],
}

/// How a call ended that was passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered.
    Answered,
    /// The callee answered with an error.
    Failed,
    /// This ended it.
    By(Rule),
}

impl Record {
    /// The record as bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; SIZE] {
        let mut numbers = self.event.numbers();
        numbers.edge = self.edge.unwrap_or(NONE);
        (numbers.connection, numbers.instance) = (self.connection, self.instance);
        numbers.call = self.call;
        numbers.encode()
    }

    /// The record in these bytes.
    ///
    /// # Errors
    /// Where they are none.
    pub fn decode(bytes: &[u8; SIZE]) -> Result<Self, RecordError> {
        let numbers = Numbers::decode(bytes)?;
        let Numbers { edge, connection, instance, call, .. } = numbers;
        let event = Event::of(&numbers)?;
        let edge = Some(edge).filter(|edge| *edge != NONE);
        let record = Self { edge, connection, instance, call, event };
        // Whatever the event does not have is 0.
        if record.encode() == *bytes { Ok(record) } else { Err(RecordError("it holds more")) }
    }
}

impl Event {
    fn numbers(&self) -> Numbers {
        let of = |event| Numbers { event, name: NONE, ..Numbers::default() };
        let what = |event, what: &What| Numbers {
            method: what.method.number(),
            name: what.name.unwrap_or(NONE),
            digest: what.digest,
            bytes: what.bytes,
            // Nothing that is not over yet has lasted.
            millis: what.secrets,
            ..of(event)
        };
        let tool = |event, tool: &Tool| Numbers {
            name: tool.name.unwrap_or(NONE),
            digest: tool.digest,
            ..of(event)
        };
        match self {
            Self::Allowed(it) => what(1, it),
            Self::Refused(it, rule) => Numbers { word: rule.number(), ..what(2, it) },
            Self::Finished { outcome, bytes, millis } => {
                let word = match outcome {
                    Outcome::Answered => 0,
                    Outcome::Failed => u8::MAX,
                    Outcome::By(rule) => rule.number(),
                };
                Numbers { word, bytes: *bytes, millis: *millis, ..of(3) }
            }
            Self::Malformed => of(4),
            Self::Struck => of(5),
            Self::Quarantined => of(6),
            Self::BreakerOpened => of(7),
            Self::ToolPinned(it) => tool(8, it),
            Self::ToolChanged(it) => tool(9, it),
            Self::ToolUncheckable(it) => tool(10, it),
            Self::AskedBack => of(11),
            Self::AskedInVain => of(12),
            Self::Stray(count) => Numbers { count: *count, ..of(13) },
            Self::NoEdge => of(14),
            Self::Approved(it, by) => Numbers { count: *by, ..what(15, it) },
            Self::Denied(it, by) => Numbers { count: *by, ..what(16, it) },
            Self::ToolTells(it) => tool(17, it),
            Self::Overfull => of(18),
        }
    }

    fn of(numbers: &Numbers) -> Result<Self, RecordError> {
        let Numbers { event, word, method, name, count, bytes, millis, digest, .. } = *numbers;
        let name = Some(name).filter(|name| *name != NONE);
        let method = || Method::from_number(method);
        let what = || Ok(What { method: method()?, name, digest, bytes, secrets: millis });
        let tool = Tool { name, digest };
        Ok(match event {
            1 => Self::Allowed(what()?),
            2 => Self::Refused(what()?, Rule::from_number(word)?),
            3 => {
                let outcome = match word {
                    0 => Outcome::Answered,
                    u8::MAX => Outcome::Failed,
                    rule => Outcome::By(Rule::from_number(rule)?),
                };
                Self::Finished { outcome, bytes, millis }
            }
            4 => Self::Malformed,
            5 => Self::Struck,
            6 => Self::Quarantined,
            7 => Self::BreakerOpened,
            8 => Self::ToolPinned(tool),
            9 => Self::ToolChanged(tool),
            10 => Self::ToolUncheckable(tool),
            11 => Self::AskedBack,
            12 => Self::AskedInVain,
            13 => Self::Stray(count),
            14 => Self::NoEdge,
            15 => Self::Approved(what()?, count),
            16 => Self::Denied(what()?, count),
            17 => Self::ToolTells(tool),
            18 => Self::Overfull,
            _ => return Err(RecordError("its event is none")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn events() -> Vec<Event> {
        let what = What {
            method: Method::ToolsCall,
            name: Some(2),
            digest: [7; 32],
            bytes: 1 << 40,
            secrets: 5,
        };
        let tool = Tool { name: None, digest: [9; 32] };
        let mut events = Vec::from([
            Event::Allowed(what),
            Event::Approved(what, 7),
            Event::Denied(what, u32::MAX),
            Event::Malformed,
            Event::NoEdge,
            Event::Struck,
            Event::Overfull,
            Event::Quarantined,
            Event::BreakerOpened,
            Event::ToolPinned(tool),
            Event::ToolChanged(tool),
            Event::ToolUncheckable(tool),
            Event::ToolTells(tool),
            Event::AskedBack,
            Event::AskedInVain,
            Event::Stray(64),
        ]);
        for rule in Rule::ALL {
            let outcome = Outcome::By(*rule);
            events.push(Event::Refused(What { name: None, ..what }, *rule));
            events.push(Event::Finished { outcome, bytes: 0, millis: 3 });
        }
        for outcome in [Outcome::Answered, Outcome::Failed] {
            events.push(Event::Finished { outcome, bytes: 517, millis: 3 });
        }
        events
    }

    #[test]
    fn what_is_encoded_decodes_to_the_same() {
        for event in events() {
            for edge in [None, Some(0), Some(NONE - 1)] {
                let record = Record { edge, connection: 5, instance: u64::MAX, call: 1, event };
                assert_eq!(Record::decode(&record.encode()), Ok(record));
            }
        }
    }

    #[test]
    fn no_bytes_are_a_record_that_is_written_otherwise() {
        for event in events() {
            let record = Record { edge: Some(1), connection: 5, instance: 6, call: 7, event };
            let bytes = record.encode();
            for place in 0..SIZE {
                for value in [0, 1, 2, 13, 15, 19, 64, 255] {
                    let mut bytes = bytes;
                    bytes[place] = value;
                    if let Ok(read) = Record::decode(&bytes) {
                        assert_eq!(read.encode(), bytes);
                    }
                }
            }
        }
    }

    #[test]
    fn a_method_is_known_by_its_name() {
        for method in Method::ALL.iter().filter(|method| **method != Method::Named) {
            assert_eq!(Method::of(method.text()), *method);
        }
        assert_eq!(Method::of("deploy"), Method::Named);
        assert!(Method::of("tools/call").is_call() && !Method::of("tools/list").is_call());
    }
}
