//! A model's API in the formats of OpenAI and Anthropic, for whoever has its key: on the host's loopback, or over
//! TLS at names of its own.

use crate::hosts::Serving;
use anyhow::{Context as _, Result};
use std::ffi::OsStr;
use std::net::Ipv4Addr;
use std::path::Path;

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

    /// Starts it over TLS for these names; the certificate of its authority is `ca.pem` in the folder.
    ///
    /// # Errors
    /// Where it does not say that it is ready.
    pub fn over_tls(folder: &Path, address: Ipv4Addr, names: &[&str]) -> Result<Self> {
        let address = address.to_string();
        let own: [&OsStr; 3] = [KEY.as_ref(), folder.as_os_str(), address.as_ref()];
        let words: Vec<&OsStr> = own.into_iter().chain(names.iter().map(AsRef::as_ref)).collect();
        Ok(Self { _serving: Serving::begin("models.py", &words)?.ready()?, port: 443 })
    }
}
