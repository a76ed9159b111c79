//! The network: whose it is, and what the egress process is told of what goes out.

use super::{Deciding, Stream};
use crate::Written;
use crate::host::ResolverFacts;
use crate::meet::egress::WayOut;
use crate::origin::Origin;
use crate::schema::{Egress, Mode};
use sandboxd_broker_plan::{Breaker, Millis};
use sandboxd_egress_plan::{
    EgressPlan, Fakes, HostName, Known, Network, Resolver, Target, VERSION, Waits, wire,
};

/// The addresses that names have inside: RFC 2544, section C.2.2, which nothing on the internet has, and one of
/// RFC 4193.
const RANGES: [&str; 2] = ["198.18.0.0/15", "fd73:616e:6462:6f78::/64"];

impl Deciding<'_> {
    /// Which network the command is in.
    pub(super) fn mode(&self) -> Mode {
        self.profile.network.mode()
    }

    /// Whether the network is the sandbox's own.
    pub(super) fn own_network(&self) -> bool {
        self.mode() != Mode::Host
    }

    /// Whether the network namespace is there already, for the shim to enter.
    pub(super) fn enters_network(&self) -> bool {
        self.own_network() && !self.is_rootless() && !self.is_bare()
    }

    /// What goes out, where the profile lets something.
    pub(super) fn egress(&mut self, streams: [Stream; 3]) -> Option<EgressPlan> {
        self.entries_hold();
        self.way_holds();
        self.secrets_go_out();
        self.budget_holds();
        self.no_stream_leads_out(streams);
        if self.mode() != Mode::Egress {
            return None;
        }
        self.is_led();
        let mut way = self.way_out();
        let (secrets, injects) = self.injects(&mut way);
        let ways = self.ways();
        let agent = self.agent(&secrets, &way);
        let resolver = self.resolver(&way);
        let budgets = self.budgets(&way);
        let plan = EgressPlan {
            version: VERSION,
            id: self.lease.id.clone(),
            ways,
            rules: way.rules,
            secrets,
            injects,
            agent,
            accounts: way.accounts,
            budgets,
            waits: Waits { head: Millis(30_000), connect: Millis(10_000) },
            pending: 128,
            breaker: Breaker {
                window: Millis(30_000),
                percent: 100,
                calls: 20,
                consecutive: 20,
                first: Millis(1000),
                longest: Millis(30_000),
            },
            fakes: Fakes {
                ranges: RANGES
                    .into_iter()
                    .filter_map(|text| Network::try_from(text).ok())
                    .collect(),
                names: 4096,
                ttl: 60,
            },
            resolver,
        };
        match wire::encode(&plan) {
            Ok(_) => Some(plan),
            Err(error) => {
                let origin = Origin::named("this profile", "network.egress");
                self.refuse(&origin, error.to_string(), "name fewer hosts");
                None
            }
        }
    }

    /// Entries that would not hold are a promise that nobody keeps.
    fn entries_hold(&mut self) {
        let network = &self.profile.network;
        let written = network.mode.as_ref();
        let Some(first) = network.egress.first().map(|entry| entry.origin.clone()) else {
            if let Some(mode) = written.filter(|mode| mode.value == Mode::Egress) {
                let origin = mode.origin.clone();
                let remedy = "write egress = [\"api.example.com:443\"], or mode = \"none\"";
                self.refuse(&origin, "names no host, so nothing can be reached", remedy);
            }
            return;
        };
        match written.map(|mode| mode.value) {
            None => self.refuse(
                &first,
                "the network mode is none, so nothing can be reached",
                "write mode = \"egress\"",
            ),
            Some(Mode::Host) => self.refuse(
                &first,
                "the network is the host's, so this would restrict nothing",
                "write mode = \"egress\", or remove it",
            ),
            // Whoever lays that over a profile with entries takes them all away.
            Some(Mode::None | Mode::Egress) => {}
        }
    }

    /// Whether there is a network to lead anywhere, and no way round.
    fn is_led(&mut self) {
        let Some(origin) = self.profile.network.mode.as_ref().map(|mode| mode.origin.clone())
        else {
            return;
        };
        if self.is_bare() {
            let remedy =
                "run it with isolation = \"namespaces\", or write mode = \"none\" or \"host\"";
            self.refuse(
                &origin,
                "without a network namespace, nothing is redirected to the egress process",
                remedy,
            );
        }
        // Of a user's sandbox the user namespace has that right.
        if self.enters_network() && !self.host.own.leads_networks {
            self.refuse(
                &Origin::named("this host", "network.egress"),
                "sandboxd lacks CAP_NET_ADMIN here, without which nothing is redirected to the egress process",
                "let sandboxd keep CAP_NET_ADMIN: --cap-add=NET_ADMIN for a container, CapabilityBoundingSet= for a unit; or write mode = \"none\"",
            );
        }
    }

    /// A socket stays in the network where it was made, whoever holds it: no namespace, no filter of its calls and no
    /// Landlock keeps one that is there from being sent by.
    fn no_stream_leads_out(&mut self, streams: [Stream; 3]) {
        if !self.own_network() {
            return;
        }
        let number = streams.iter().position(|stream| *stream == Stream::Network);
        if let Some(number) = number {
            let name = ["input", "output", "error"].get(number).copied().unwrap_or_default();
            self.refuse(
                &Origin::named(&format!("standard {name}"), ""),
                "is a socket of the host's network, with which the command could connect to hosts that this profile does not name",
                "put a pipe in between: … | sandboxd run … | …",
            );
        }
    }

    /// What all let out that have something to say: those it is run under, and the profile itself.
    fn way_out(&self) -> WayOut {
        let under = self.under.iter().map(|profile| &profile.network);
        // Where the profile itself said more, it has been given the network of one of those already.
        let all = under.chain([&self.profile.network]).filter(|one| one.mode() == Mode::Egress);
        let mut all: Vec<_> = all.collect();
        all.dedup();
        let ways = all.into_iter().map(WayOut::of);
        ways.reduce(|under, over| under.meet(&over)).unwrap_or_default()
    }

    /// Who knows where a name really is.
    fn resolver(&mut self, way: &WayOut) -> Resolver {
        let ResolverFacts { hosts, servers, unread } = self.host.resolver.clone();
        for file in &unread {
            let what = format!("{} cannot be read: {}", file.path, file.why);
            let remedy = "make it a file that sandboxd can read: names are resolved with it";
            self.refuse(&Origin::named("this host", "network.egress"), what, remedy);
        }
        // A list of whom to block may have a hundred thousand of no interest here.
        let fits = |host: &Known| way.rules.iter().any(|rule| is_meant(&rule.target, &host.name));
        let hosts: Vec<Known> = hosts.into_iter().filter(fits).collect();
        let known = |name: &HostName| hosts.iter().any(|host| host.name == *name);
        let asks = |target: &Target| match target {
            Target::Name(name) => !known(name),
            Target::Below(_) => true,
            Target::Network(_) | Target::Host => false,
        };
        let asking = way.rules.iter().find(|rule| asks(&rule.target)).map(|rule| &rule.written);
        // What nobody could read may name somebody.
        if let (Some(text), true) = (asking, servers.is_empty() && unread.is_empty()) {
            let entries: &[Written<Egress>] = &self.profile.network.egress;
            let entry = entries.iter().find(|entry| entry.value.text == *text);
            let origin = entry.map_or_else(
                || Origin::named("this host", "network.egress"),
                |entry| entry.origin.clone(),
            );
            let what = "this host cannot resolve that name: no nameserver in /etc/resolv.conf";
            self.refuse(&origin, what, "add one there, or add the host to /etc/hosts");
        }
        Resolver { hosts, servers, wait: Millis(2000), rounds: 2 }
    }
}

fn is_meant(target: &Target, name: &HostName) -> bool {
    match target {
        Target::Name(named) => name == named,
        Target::Below(above) => name.is_below(above),
        Target::Network(_) | Target::Host => false,
    }
}
