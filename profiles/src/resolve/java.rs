//! What Java is told: it heeds no variable of those that others heed, and takes options from one of its own.

use super::inject::STORE;
use super::view::View;
use super::{Deciding, proxy};
use sandboxd_egress_plan::PROXY;
use std::collections::BTreeMap;

/// Options of every Java that starts, before those of its command line. It says on standard error that it has
/// them.
const VARIABLE: &[u8] = b"JAVA_TOOL_OPTIONS";

impl Deciding<'_> {
    /// Whom to trust where TLS is ended, and where the proxy is; and then what the profile says itself.
    pub(super) fn tell_java(&self, view: &View, variables: &mut BTreeMap<Vec<u8>, Vec<u8>>) {
        let mut options = Vec::new();
        if view.authority.is_some() {
            options.push(format!("-Djavax.net.ssl.trustStore={STORE}"));
            options.push("-Djavax.net.ssl.trustStoreType=JKS".to_owned());
        }
        if proxy::is_told(self.profile) {
            for scheme in ["http", "https"] {
                options.push(format!("-D{scheme}.proxyHost={}", PROXY.ip()));
                options.push(format!("-D{scheme}.proxyPort={}", PROXY.port()));
            }
        }
        if options.is_empty() {
            return;
        }
        let own = variables.remove(VARIABLE);
        let own = own.filter(|own| !own.is_empty());
        let ours = options.join(" ").into_bytes();
        let all = own.map_or_else(|| ours.clone(), |own| [&ours, &b" "[..], &own].concat());
        variables.insert(VARIABLE.to_vec(), all);
    }
}
