//! What someone of ours is told as bytes: JSON of one version, and not without end. The broker's plan and
//! that of the egress process go this way.

use alloc::{
    format,
    string::{String, ToString as _},
    vec::Vec,
};
use core::fmt;
use serde::{Serialize, de::DeserializeOwned};

/// The most bytes a plan may take.
pub const MOST: usize = 16 << 20;

/// Why bytes are not a plan that is obeyed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireError(pub String);

impl fmt::Display for WireError {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.0)
    }
}

impl core::error::Error for WireError {}

/// A plan, which says its version.
pub trait Versioned: Serialize + DeserializeOwned {
    /// Who obeys it, for messages.
    const WHO: &'static str;
    /// The only version that is obeyed.
    const KNOWN: u32;

    /// The version that it says.
    fn version(&self) -> u32;
}

/// The plan as bytes.
///
/// # Errors
/// Where the plan takes more than [`MOST`] bytes.
pub fn encode(plan: &impl Versioned) -> Result<Vec<u8>, WireError> {
    let bytes = serde_json::to_vec(plan).map_err(|error| WireError(error.to_string()))?;
    bounded(&bytes)?;
    Ok(bytes)
}

/// The plan in these bytes.
///
/// # Errors
/// Where they are too many, not a plan, have a field too many or too few, or are of another version.
pub fn decode<P: Versioned>(bytes: &[u8]) -> Result<P, WireError> {
    bounded(bytes)?;
    let plan: P = serde_json::from_slice(bytes).map_err(|error| WireError(error.to_string()))?;
    if plan.version() != P::KNOWN {
        let (version, who, known) = (plan.version(), P::WHO, P::KNOWN);
        return Err(WireError(format!("plan version {version}; this {who} knows {known}")));
    }
    Ok(plan)
}

fn bounded(bytes: &[u8]) -> Result<(), WireError> {
    if bytes.len() > MOST {
        return Err(WireError(format!("the plan takes {} bytes; {MOST} fit", bytes.len())));
    }
    Ok(())
}
