//! How a plan becomes the bytes of the sealed memfd: JSON, so that what `sandboxd plan` prints is
//! what the shim reads.

use crate::{Plan, VERSION};
use alloc::{format, string::String, vec::Vec};

/// The most bytes a plan may take.
pub const MOST: usize = 1 << 20;

/// Why bytes are not a plan this shim executes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireError(pub String);

impl core::fmt::Display for WireError {
    fn fmt(&self, to: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        to.write_str(&self.0)
    }
}

impl core::error::Error for WireError {}

/// The plan as bytes.
///
/// # Errors
/// Where the plan takes more than [`MOST`] bytes.
pub fn encode(plan: &Plan) -> Result<Vec<u8>, WireError> {
    let bytes = serde_json::to_vec(plan).map_err(|error| WireError(format!("{error}")))?;
    if bytes.len() > MOST {
        return Err(WireError(format!("the plan takes {} bytes; {MOST} fit", bytes.len())));
    }
    Ok(bytes)
}

/// The plan in these bytes.
///
/// # Errors
/// Where they are too many, not a plan, have a field too many or too few, or are of another version.
pub fn decode(bytes: &[u8]) -> Result<Plan, WireError> {
    if bytes.len() > MOST {
        return Err(WireError(format!("the plan takes {} bytes; {MOST} fit", bytes.len())));
    }
    let plan: Plan =
        serde_json::from_slice(bytes).map_err(|error| WireError(format!("{error}")))?;
    if plan.version != VERSION {
        return Err(WireError(format!("plan version {}; this shim knows {VERSION}", plan.version)));
    }
    Ok(plan)
}
