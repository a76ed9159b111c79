//! What an edge is held to where its profile is silent.

use crate::Written;
use crate::quantity::Amount;
use crate::schema::Call;
use sandboxd_broker_plan::{Millis, Rate};

/// Calls over an edge.
const RATE: Rate = Rate::Per { count: 120, period: Millis(60_000), burst: 20 };
/// Calls that are answered at the same time.
const IN_FLIGHT: Amount = Amount::Limited(8);
/// Milliseconds of a call.
const DEADLINE: u64 = 60_000;
/// Milliseconds that a call waits for a person: as long as clients were measured to wait for an answer.
const APPROVAL_WITHIN: u64 = 210_000;
/// Bytes of a line to the callee.
const MAX_REQUEST: u64 = 1 << 20;
/// Bytes of a line from the callee.
const MAX_RESULT: u64 = 16 << 20;

/// The limits of an edge; the largest number is "unlimited".
pub(super) struct Limits {
    pub(super) rate: Rate,
    pub(super) in_flight: u64,
    pub(super) deadline: u64,
    pub(super) approval_within: u64,
    pub(super) expires: u64,
    pub(super) max_request: u64,
    pub(super) max_result: u64,
}

impl Limits {
    pub(super) fn of(call: &Call) -> Self {
        let number = |written: &Option<Written<u64>>, silent: u64| {
            written.as_ref().map_or(silent, |written| written.value)
        };
        let in_flight = call.in_flight.as_ref().map_or(IN_FLIGHT, |written| written.value);
        Self {
            rate: call.rate.as_ref().map_or(RATE, |written| written.value),
            in_flight: in_flight.limit().unwrap_or(u64::MAX),
            deadline: number(&call.deadline, DEADLINE),
            approval_within: number(&call.approval_within, APPROVAL_WITHIN),
            expires: number(&call.expires, u64::MAX),
            max_request: number(&call.max_request, MAX_REQUEST),
            max_result: number(&call.max_result, MAX_RESULT),
        }
    }
}
