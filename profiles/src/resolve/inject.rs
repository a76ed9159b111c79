//! Secrets that are put into requests: where TLS is ended for that, and whom the command trusts instead.

use super::trees::Shown;
use super::view::{View, fixed};
use super::{Deciding, Grants};
use crate::meet::egress::WayOut;
use crate::origin::Written;
use crate::resolved::Copied;
use crate::schema::inject::Injected;
use crate::schema::{Mode, Secret};
use sandboxd_egress_plan::{Carries, EgressPlan, HOST_INTERNAL, Inject, Requests, Rule, Target};
use sandboxd_plan::{Identity, Owner};

/// Where the certificates are that the command trusts: those that the host does, and the sandbox's own
/// authority.
const BUNDLE: &str = "/run/sandboxd/ca.pem";
/// The same, as Java reads them.
pub(super) const STORE: &str = "/run/sandboxd/ca.jks";

/// Who reads where they are: what is linked with OpenSSL, Python's requests and pip, curl, git, Node and
/// npm, cargo, Deno, the clients of AWS.
pub(super) const VARIABLES: [&str; 11] = [
    "AWS_CA_BUNDLE",
    "CARGO_HTTP_CAINFO",
    "CURL_CA_BUNDLE",
    "DENO_CERT",
    "GIT_SSL_CAINFO",
    "NIX_SSL_CERT_FILE",
    "NODE_EXTRA_CA_CERTS",
    "NPM_CONFIG_CAFILE",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_FILE",
];

impl Deciding<'_> {
    /// What is put into requests, and the names of the secrets that the egress process has. Where it is in TLS,
    /// that is ended.
    pub(super) fn injects(&mut self, way: &mut WayOut) -> (Vec<String>, Vec<Inject>) {
        for rule in way.rules.iter_mut().filter(|rule| rule.model) {
            end(rule);
        }
        let (mut names, mut injects): (Vec<String>, Vec<Inject>) = (Vec::new(), Vec::new());
        let secrets = &self.profile.secrets;
        let goes_there = |secret: &Secret| !secret.inject.is_empty() || !secret.ssh.is_empty();
        let used = secrets.iter().filter(|(_, secret)| goes_there(&secret.value));
        let mut before: Vec<&Injected> = Vec::new();
        for (name, written) in used {
            let secret = super::count(names.len());
            names.push(name.to_string());
            for written in &written.value.inject {
                if before.iter().any(|other| other.meets(&written.value)) {
                    let what =
                        "another secret is injected into the same place of the same requests";
                    self.refuse(
                        &written.origin,
                        what,
                        "write another place, or a different path for each",
                    );
                }
                before.push(&written.value);
                if self.leads_there(written, way) {
                    injects.push(inject(secret, written.value.clone()));
                }
            }
        }
        (names, injects)
    }

    /// Whether all that leads there is, or is made, such that it can be put in and read by nobody else.
    fn leads_there(&mut self, written: &Written<Injected>, way: &mut WayOut) -> bool {
        let Injected { host, port, .. } = &written.value;
        let place = written.value.place();
        let own = host.as_str() == HOST_INTERNAL;
        let leads = |rule: &&mut Rule| rule.port == *port && rule.target.has_name(host);
        let mut found = false;
        for rule in way.rules.iter_mut().filter(leads) {
            found = true;
            end(rule);
            let unfit = match (&rule.carries, &rule.target) {
                (Carries::Https(_), Target::Below(_)) => Some((
                    "is for many hosts, so the requests to all of them would be decrypted for the sake of one",
                    format!("write {place:?} in network.egress too, and narrow that"),
                )),
                (Carries::Https(_), _) => None,
                (Carries::Http(_), _) if own => None,
                (Carries::Http(_) | Carries::Tcp | Carries::Tls, _) => Some((
                    "leads there without TLS, so anyone on the way could read the secret",
                    format!("write {place:?} in network.egress instead"),
                )),
            };
            if let Some((what, remedy)) = unfit {
                let what = format!("{:?} in network.egress {what}", rule.written);
                self.refuse(&written.origin, what, remedy);
                return false;
            }
        }
        if !found {
            let what = format!("no entry of network.egress leads to {place}");
            self.refuse(&written.origin, what, format!("write egress = [{place:?}] in [network]"));
        }
        found
    }

    /// Where nothing is let out, nothing is put into it, and whoever wrote that it is waits for it in vain.
    pub(super) fn secrets_go_out(&mut self) {
        let origin = |secret: &Written<Secret>| {
            let injected = secret.value.inject.first().map(|one| one.origin.clone());
            injected.or_else(|| Some(secret.value.ssh.first()?.origin.clone()))
        };
        let Some(origin) = self.profile.secrets.values().find_map(origin) else { return };
        // What it is run under may let nothing out, and so may whoever lays "none" over it.
        let chosen = self.profile.network.mode.as_ref().map(|mode| mode.value);
        if self.under.is_empty() && matches!(chosen, None | Some(Mode::Host)) {
            let what = "only the egress process injects it or signs with it, and there is none";
            let remedy = "write [network] mode = \"egress\", and the host in egress = [...]";
            self.refuse(&origin, what, remedy);
        }
    }

    /// Whether the command is to trust the sandbox's own authority, which are then copied last, in both forms.
    pub(super) fn authority(
        &mut self,
        egress: Option<&EgressPlan>,
        shown: &Shown,
        copies: &mut Vec<Copied>,
    ) -> bool {
        let ends = |rule: &Rule| matches!(rule.carries, Carries::Https(_));
        let Some(rule) = egress.and_then(|plan| plan.rules.iter().find(|rule| ends(rule))) else {
            return false;
        };
        copies.extend([Copied::Authority, Copied::JavaStore]);
        let key = format!("{:?} in network.egress, whose requests are decrypted,", rule.written);
        self.nobody_else_says(&VARIABLES, &key, "which certificates to trust");
        if fixed(BUNDLE).is_some_and(|path| shown.covers(&path)) {
            let origin = crate::Origin::named("this profile", "files");
            let what = format!("a grant covers {BUNDLE}, which sandboxd creates");
            self.refuse(&origin, what, "grant less than /run");
        }
        true
    }

    /// Puts the bundle into the view, in both forms.
    pub(super) fn show_authority(&self, view: &mut View, identity: Identity, grants: &Grants) {
        let owner = Owner { uid: identity.uid, gid: identity.gid };
        let copies: Vec<u32> = grants.copies().collect();
        if let [.., bundle, store] = copies.as_slice() {
            for (path, from) in [(BUNDLE, bundle), (STORE, store)] {
                let Some(path) = fixed(path) else { continue };
                view.copy(path.clone(), *from, owner);
                view.secrets.push(path);
            }
            view.authority = fixed(BUNDLE);
        }
    }
}

/// As the egress process is told.
fn inject(secret: u32, injected: Injected) -> Inject {
    let Injected { host, port, method, path, spot } = injected;
    Inject { secret, host, port, method: method.into(), path: path.into(), spot }
}

/// Ends TLS there, where a rule has it.
fn end(rule: &mut Rule) {
    if rule.carries == Carries::Tls {
        rule.carries = Carries::Https(Requests::All);
    }
}
