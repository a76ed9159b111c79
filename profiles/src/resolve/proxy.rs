//! The proxy as the second way out: what programs are told of it, and that the profile says so where it holds.

use super::Deciding;
use crate::schema::{Mode, Profile};
use sandboxd_egress_plan::{PROXY, Ways};
use std::collections::BTreeMap;

/// Who reads where a proxy is, in both spellings: curl, wget, git and others heed the lower case alone where
/// a request is in plain text. None names SOCKS, which the proxy speaks too: a client that has no library
/// for that fails at its start, and not when it connects.
const VARIABLES: [&str; 6] =
    ["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "all_proxy", "http_proxy", "https_proxy"];

/// Who reads what is not asked of it, and what that is: the sandbox's own loopback, where the command's own
/// servers listen. A profile may say otherwise.
const EXCEPTED: ([&str; 2], &str) = (["NO_PROXY", "no_proxy"], "localhost,127.0.0.1,::1");

/// Node heeds the others only where this is set, from version 22.21 and 24 on.
const NODE: (&str, &str) = ("NODE_USE_ENV_PROXY", "1");

/// Whether there is one.
pub(super) fn is_told(profile: &Profile) -> bool {
    profile.network.mode() == Mode::Egress && profile.network.ways().proxies()
}

impl Deciding<'_> {
    /// How what goes out gets there.
    pub(super) fn ways(&mut self) -> Ways {
        let ways = self.profile.network.ways();
        if ways.proxies() {
            let key = format!("network.way = {:?}", ways.name());
            self.nobody_else_says(&VARIABLES, &key, "where the proxy is");
        }
        ways
    }

    /// A way that leads nowhere is a promise that nobody keeps.
    pub(super) fn way_holds(&mut self) {
        let network = &self.profile.network;
        let Some(origin) = network.way.as_ref().map(|way| way.origin.clone()) else { return };
        // Whoever lays "none" over a profile with a way takes that away.
        let mode = network.mode.as_ref().map(|mode| mode.value);
        if matches!(mode, None | Some(Mode::Host)) {
            let what = "says how connections get to the egress process, and there is none";
            self.refuse(&origin, what, "write mode = \"egress\", or remove it");
        }
    }

    /// What programs are told of the proxy, where there is one.
    pub(super) fn tell_of_the_proxy(&self, variables: &mut BTreeMap<Vec<u8>, Vec<u8>>) {
        if !is_told(self.profile) {
            return;
        }
        let proxy = format!("http://{PROXY}");
        let set = VARIABLES.map(|name| (name, proxy.as_str()));
        variables.extend(set.map(|(name, value)| (name.into(), value.into())));
        let (names, value) = EXCEPTED;
        for (name, value) in names.map(|name| (name, value)).into_iter().chain([NODE]) {
            variables.entry(name.into()).or_insert_with(|| value.into());
        }
    }
}
