//! A model's API on the host's loopback, in the formats of OpenAI and Anthropic, for whoever has its key.

use crate::hosts::Serving;
use anyhow::{Context as _, Result};

/// The key that it wants.
pub const KEY: &str = "sk-of-a-model";

/// The API; gone when it is let go of.
#[derive(Debug)]
pub struct Api {
    _serving: Serving,
    /// Where it listens.
    pub port: u16,
}

impl Api {
    /// Starts it.
    ///
    /// # Errors
    /// Where it does not say its port.
    pub fn start() -> Result<Self> {
        let serving = Serving::begin("models.py", &[KEY])?;
        let port = serving.said().parse().context("no port")?;
        Ok(Self { _serving: serving, port })
    }
}
