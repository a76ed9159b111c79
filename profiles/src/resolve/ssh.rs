//! Keys that log in by SSH, and are never inside: what signs for which sessions, and what the command knows of
//! the hosts.

use super::trees::Shown;
use super::view::{View, fixed};
use super::{Deciding, calls, count};
use crate::host::KnownHosts;
use crate::meet::egress::WayOut;
use crate::origin::Written;
use crate::schema::ssh::Ssh;
use crate::schema::{LogsIn, Source};
use sandboxd_broker_plan::{Millis, Rate};
use sandboxd_egress_plan::{Agent, Carries, EgressPlan, HostKey, Kept, Login, Signer};
use sandboxd_plan::{Arrives, JailPath, RootOp};
use std::collections::BTreeSet;

/// Where a program asks for signatures, and what tells it so.
const SOCKET: &str = "/run/sandboxd/ssh-agent.sock";
pub(super) const VARIABLE: &str = "SSH_AUTH_SOCK";

/// Where OpenSSH looks for the keys of hosts, for everybody.
const KNOWN: &str = "/etc/ssh/ssh_known_hosts";

/// So many programs ask at the same time, and so often something is signed.
const CONNECTIONS: u32 = 64;
const RATE: Rate = Rate::Per { count: 240, period: Millis(60_000), burst: 60 };
/// How long another agent may take that keeps a key: as long as OpenSSH's server waits for a login.
const PATIENCE: Millis = Millis(120_000);

impl Deciding<'_> {
    /// What signs, of the secrets of these names.
    pub(super) fn agent(&mut self, names: &[String], way: &WayOut) -> Agent {
        let mut signers = Vec::new();
        for (secret, name) in names.iter().enumerate() {
            let secrets = &self.profile.secrets;
            let written = secrets.iter().find(|(known, _)| known.as_str() == name);
            let keys = written.map(|(_, secret)| secret.value.ssh.as_slice()).unwrap_or_default();
            if keys.is_empty() {
                continue;
            }
            let from = written.and_then(|(_, secret)| secret.value.from.as_ref());
            let kept = match from.map(|from| &from.value) {
                Some(Source::Agent { .. }) => Kept::Agent,
                Some(_) | None => Kept::Here,
            };
            let (logins, texts) = (Vec::new(), Vec::new());
            let mut signer = Signer { secret: count(secret), kept, logins, texts };
            for one in keys {
                signer.texts.extend(one.value.sign.iter().map(|text| text.value.clone()));
                signer.logins.extend(self.logins(one, way));
            }
            signers.push(signer);
        }
        Agent { signers, connections: CONNECTIONS, rate: RATE, patience: PATIENCE }
    }

    fn logins(&mut self, written: &Written<Ssh>, way: &WayOut) -> Vec<Login> {
        let ssh = &written.value;
        if ssh.hosts.is_empty() && ssh.sign.is_empty() {
            let remedy = "write hosts = [\"git@github.com\"], or sign = [\"git\"]";
            self.refuse(&written.origin, "signs nothing", remedy);
        }
        if ssh.hosts.is_empty() && (ssh.known_hosts.is_some() || !ssh.host_keys.is_empty()) {
            let what = "has keys of hosts, but names none to log in to";
            self.refuse(&written.origin, what, "write hosts = [\"git@github.com\"]");
        }
        let places: BTreeSet<String> =
            ssh.hosts.iter().map(|host| host.value.host.to_string()).collect();
        if let (Some(key), 2..) = (ssh.host_keys.first(), places.len()) {
            // One of these hosts could pose as another, and its users are not the other's.
            let what = "is for one of several hosts, and nothing says for which";
            let remedy = "write a table for each host, ssh = [{ hosts = […], host_keys = […] }, …], or known_hosts";
            self.refuse(&key.origin, what, remedy);
        }
        let mut logins = Vec::new();
        if let (Some(host), false) = (ssh.hosts.first(), self.profile.network.ways().redirects()) {
            let what = "connects to its host directly, and here the proxy is the only way out";
            self.refuse(&host.origin, what, "write way = \"both\" in [network]");
        }
        for host in &ssh.hosts {
            let LogsIn { user, host: name, port } = &host.value;
            let leads = way.rules.iter().any(|rule| {
                rule.carries == Carries::Tcp && rule.port == *port && rule.target.has_name(name)
            });
            if !leads {
                let place = host.value.place();
                let what = format!("no entry of network.egress leads to {place}");
                let remedy = format!("write egress = [{place:?}] in [network]");
                self.refuse(&host.origin, what, remedy);
            }
            let keys = self.keys(ssh, host);
            logins.push(Login { user: user.clone(), host: name.clone(), port: *port, keys });
        }
        logins
    }

    /// The keys by which a host is known.
    fn keys(&mut self, ssh: &Ssh, host: &Written<LogsIn>) -> Vec<HostKey> {
        let mut keys: BTreeSet<HostKey> =
            ssh.host_keys.iter().map(|key| key.value.clone()).collect();
        let known = host.value.known();
        let mut file = None;
        if let Some(written) = &ssh.known_hosts {
            let path = self.folder(written);
            match path.as_ref().and_then(|path| self.host.known_hosts.get(path)) {
                Some(KnownHosts::Read(found)) => {
                    keys.extend(found.get(&known).into_iter().flatten().cloned());
                }
                Some(KnownHosts::Failed(why)) => {
                    let what = format!("cannot be read: {why}");
                    let remedy =
                        "name a file such as ~/.ssh/known_hosts that only its owner may write";
                    self.refuse(&written.origin, what, remedy);
                    return Vec::new();
                }
                None => return Vec::new(),
            }
            file = path;
        }
        if keys.is_empty() {
            let (what, remedy) = match file {
                Some(file) => (
                    format!("{file} has no key of a known type for {known}"),
                    format!("connect there once (ssh {known} true) and compare its key with what the host's owner says, or write host_keys"),
                ),
                None => (
                    format!("nothing says which keys {known} has, so it could be anyone"),
                    "write host_keys = [\"ssh-ed25519 AAAA…\"], or known_hosts = \"{home}/.ssh/known_hosts\"".to_owned(),
                ),
            };
            self.refuse(&host.origin, what, remedy);
        }
        keys.into_iter().collect()
    }

    /// Puts it into the view: where it is asked, and the keys of the hosts.
    pub(super) fn show_agent(
        &mut self,
        egress: Option<&EgressPlan>,
        view: &mut View,
        shown: &Shown,
    ) -> Option<JailPath> {
        let agent = egress.map(|plan| &plan.agent).filter(|agent| !agent.signers.is_empty())?;
        let ssh = self.profile.secrets.values().flat_map(|secret| &secret.value.ssh).next()?;
        let origin = ssh.origin.clone();
        self.nobody_else_says(&[VARIABLE], "a secret that signs,", "where its ssh-agent is");
        for place in [calls::FOLDER, KNOWN] {
            if fixed(place).is_none_or(|path| shown.covers(&path)) {
                let what = format!("needs {place}, which a grant covers");
                self.refuse(&origin, what, "do not grant /run and /etc as a whole");
                return None;
            }
        }
        let socket = fixed(SOCKET)?;
        view.directory(calls::FOLDER);
        view.file(KNOWN, known(agent), 0o444);
        view.ops.push(RootOp::Endpoint { path: socket.clone(), arrives: Arrives::Signatures });
        Some(socket)
    }
}

/// A line for each key of each host.
fn known(agent: &Agent) -> String {
    let logins = agent.signers.iter().flat_map(|signer| &signer.logins);
    let lines: BTreeSet<String> = logins
        .flat_map(|Login { user, host, port, keys }| {
            let named = LogsIn { user: user.clone(), host: host.clone(), port: *port };
            keys.iter().map(move |key| format!("{} {}\n", named.known(), key.as_str()))
        })
        .collect();
    lines.into_iter().collect()
}
