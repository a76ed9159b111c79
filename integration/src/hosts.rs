//! Programs of the folder `hosts`, which play the hosts that a sandbox asks.

use anyhow::{Context as _, Result};
use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

const HOSTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/hosts");

/// One of them; gone when it is let go of.
#[derive(Debug)]
pub struct Serving {
    process: Child,
    said: String,
}

impl Serving {
    /// Starts it with these arguments, and waits for its first line.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn begin<A: AsRef<OsStr>>(program: &str, arguments: &[A]) -> Result<Self> {
        // `-B`: nothing is compiled into the tree.
        let process = Command::new("/usr/bin/python3")
            .arg("-B")
            .arg(Path::new(HOSTS).join(program))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| program.to_owned())?;
        // From here on it ends with this, whether it says something or not.
        let mut serving = Self { process, said: String::new() };
        let output = serving.process.stdout.take().context("no output")?;
        BufReader::new(output).read_line(&mut serving.said)?;
        Ok(serving)
    }

    /// Its first line.
    #[must_use]
    pub fn said(&self) -> &str {
        self.said.trim_end()
    }

    /// Where its first line is `ready`.
    ///
    /// # Errors
    /// Where it is not.
    pub fn ready(self) -> Result<Self> {
        anyhow::ensure!(self.said() == "ready", "the hosts said {:?}", self.said);
        Ok(self)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // One that is gone already is what is wanted.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// Answers whatever is asked on a connection with `reached`, to its end. Whoever says nothing is told nothing.
pub fn answer(mut stream: &TcpStream) {
    let mut bytes = [0; 512];
    while stream.read(&mut bytes).is_ok_and(|count| count > 0) {
        let said = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nreached";
        if stream.write_all(said).is_err() {
            return;
        }
    }
}

/// The first message of a client of TLS that names this host: RFC 6066, section 3, in RFC 8446, section 4.1.2.
#[must_use]
pub fn client_hello(name: &str) -> Vec<u8> {
    let length = |bytes: &[u8]| u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes();
    let vector = |bytes: &[u8]| [&length(bytes), bytes].concat();
    let named = vector(&[&[0], vector(name.as_bytes()).as_slice()].concat());
    let extensions = vector(&[&[0, 0], vector(&named).as_slice()].concat());
    let said = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 1, 1, 0], &extensions].concat();
    let message = [&[1, 0][..], &vector(&said)].concat();
    [&[0x16, 3, 1][..], &vector(&message)].concat()
}
