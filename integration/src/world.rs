//! An outside world for a case: a network of its own, hosts at addresses in it, and names that lead
//! there, told by a server that remembers what it was asked. Nothing of it is the machine's.

use crate::Outside;
use anyhow::{Context as _, Result, ensure};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

/// What a case needs for it, beside root.
pub const IP: &str = "/usr/sbin/ip";

/// Whom Debian's programs trust.
const TRUSTED: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Where its DNS server listens.
const SERVER: &str = "127.0.0.1:53";

/// Each name with its addresses, of which the first is what is answered next.
type Hosts = BTreeMap<String, VecDeque<Ipv4Addr>>;

/// The world; gone when it is let go of, but for the network, which is the process's.
#[derive(Debug)]
pub struct World {
    /// Files that stand in the place of the machine's.
    covered: Vec<PathBuf>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl World {
    /// Puts this process, and all that it starts from now on, into a network of its own, in which these
    /// names lead to these addresses, and all but `127.0.0.0/8` of them are somewhere. A name that stands
    /// there several times leads to each of its addresses in turn.
    ///
    /// # Errors
    /// Where that cannot be made.
    pub fn enter(outside: &Outside, hosts: &[(&str, Ipv4Addr)]) -> Result<Self> {
        unshare(CloneFlags::CLONE_NEWNET).context("a network namespace")?;
        ip(&["link", "set", "lo", "up"])?;
        for address in hosts.iter().map(|(_, address)| address).filter(|one| !one.is_loopback()) {
            // Here, and with another address for who connects to it, as if it were elsewhere. It may be
            // there for another name.
            let to = format!("{address}/32");
            ip(&["route", "replace", "local", &to, "dev", "lo", "src", "127.0.0.1"])?;
        }
        let mut world = Self { covered: Vec::new(), asked: Arc::default() };
        let files = [
            ("/etc/resolv.conf", "nameserver 127.0.0.1\n"),
            ("/etc/hosts", "127.0.0.1 localhost\n"),
        ];
        for (path, content) in files {
            world.cover(outside, path, content)?;
        }
        let mut named = Hosts::new();
        for (name, address) in hosts {
            named.entry((*name).to_owned()).or_default().push_back(*address);
        }
        let socket = UdpSocket::bind(SERVER).context(SERVER)?;
        let asked = Arc::clone(&world.asked);
        std::thread::spawn(move || serve(&socket, named, &asked));
        Ok(world)
    }

    /// Has one of those addresses be the machine's own.
    ///
    /// # Errors
    /// Where that cannot be made.
    pub fn own(address: Ipv4Addr) -> Result<()> {
        let (to, address) = (format!("{address}/32"), address.to_string());
        ip(&["route", "replace", "local", &to, "dev", "lo", "src", &address])
    }

    /// Gives the machine these addresses by one interface, of which all but the first are second ones: what is
    /// sent to them comes from the first.
    ///
    /// # Errors
    /// Where that cannot be made.
    pub fn interface(addresses: &[Ipv4Addr]) -> Result<()> {
        addresses
            .iter()
            .try_for_each(|address| ip(&["address", "add", &format!("{address}/24"), "dev", "lo"]))
    }

    /// Has the machine trust this authority, too.
    ///
    /// # Errors
    /// Where that cannot be made.
    pub fn trust(&mut self, outside: &Outside, authority: &Path) -> Result<()> {
        let own = fs::read_to_string(authority).context("the authority")?;
        let all = format!("{}\n{own}", fs::read_to_string(TRUSTED).context(TRUSTED)?);
        self.cover(outside, TRUSTED, &all)
    }

    /// Puts a file in the place of the machine's.
    fn cover(&mut self, outside: &Outside, path: &str, content: &str) -> Result<()> {
        let own = outside.file(&format!("world{path}"), content)?;
        // A link of the machine's may lead to nothing.
        let path = fs::canonicalize(path).with_context(|| path.to_owned())?;
        mount(Some(&own), &path, None::<&str>, MsFlags::MS_BIND, None::<&str>)
            .with_context(|| path.display().to_string())?;
        self.covered.push(path);
        Ok(())
    }

    /// Names that somebody asked for, in the order in which they did.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for path in &self.covered {
            // What is left is seen by whoever compares the mounts.
            umount2(path, MntFlags::MNT_DETACH).ok();
        }
    }
}

fn ip(words: &[&str]) -> Result<()> {
    let ran = Command::new(Path::new(IP)).args(words).output().context(IP)?;
    let complaint = String::from_utf8_lossy(&ran.stderr);
    ensure!(ran.status.success(), "ip {}: {complaint}", words.join(" "));
    Ok(())
}

/// Answers for as long as this process lives.
fn serve(socket: &UdpSocket, mut hosts: Hosts, asked: &Mutex<Vec<String>>) {
    let mut bytes = [0; 512];
    while let Ok((count, from)) = socket.recv_from(&mut bytes) {
        let Some(answer) = bytes.get(..count).and_then(|asks| answer(asks, &mut hosts, asked))
        else {
            continue;
        };
        if socket.send_to(&answer, from).is_err() {
            return;
        }
    }
}

/// RFC 1035, section 4: one question, with the flags of a server that answers for itself.
fn answer(asks: &[u8], hosts: &mut Hosts, asked: &Mutex<Vec<String>>) -> Option<Vec<u8>> {
    let (head, mut rest) = asks.split_at_checked(12)?;
    let question = rest;
    let mut labels = Vec::new();
    loop {
        let (length, after) = rest.split_first()?;
        let (label, after) = after.split_at_checked(usize::from(*length))?;
        rest = after;
        if label.is_empty() {
            break;
        }
        labels.push(String::from_utf8_lossy(label).to_lowercase());
    }
    let kind = rest.get(..2)?;
    let question = question.get(..question.len() - rest.len() + 4)?;
    let name = labels.join(".");
    asked.lock().unwrap_or_else(PoisonError::into_inner).push(name.clone());
    let addresses = hosts.get_mut(&name);
    let code = if addresses.is_some() { 0 } else { 3 };
    // An A record, where that was asked for; the next one has the next address.
    let record = addresses.filter(|_| kind == [0, 1]).and_then(|addresses| {
        let address = addresses.pop_front()?;
        addresses.push_back(address);
        Some([&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4][..], &address.octets()].concat())
    });
    let mut answer = head.get(..2)?.to_vec();
    answer.extend([0x85, 0x80 | code, 0, 1, 0, u8::from(record.is_some()), 0, 0, 0, 0]);
    answer.extend(question);
    answer.extend(record.unwrap_or_default());
    Some(answer)
}
