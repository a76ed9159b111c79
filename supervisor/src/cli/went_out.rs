//! What a person is told of a run's way out: what it was kept from.

use crate::sandbox::{Ended, Used};
use std::collections::BTreeMap;

/// So many refusals are said one by one.
const SAID: usize = 5;

/// A line for each thing that was not let out, most often first, and one for what would let each kind out.
pub(super) fn words(sandbox: &str, used: &Used) -> String {
    let mut lines: Vec<String> = used.ended.iter().map(ended).collect();
    let said = used.refused.iter().take(SAID);
    for refused in said.clone() {
        let times =
            if refused.times == 1 { String::new() } else { format!(", {} times", refused.times) };
        lines.push(format!("egress denied: {}: {}{times}", refused.to, refused.why));
    }
    let mut remedies: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for refused in said {
        if let Some(remedy) = refused.remedy {
            remedies.entry((refused.why, remedy)).or_default().push(&refused.to);
        }
    }
    for ((why, remedy), to) in remedies {
        lines.push(format!("remedy: {why}: {}", filled(remedy, &to)));
    }
    let more: u64 = used.refused.iter().skip(SAID).map(|refused| refused.times).sum();
    let more = more.saturating_add(used.refused_others);
    if more > 0 {
        lines.push(format!("egress denied: {more} more (see --json)"));
    }
    if used.lost > 0 {
        let what = "connections, refusals or answers of models came too fast to be counted";
        lines.push(format!("{} {what}", used.lost));
    }
    lines.iter().map(|line| format!("sandboxd: {sandbox}: {line}\n")).collect()
}

/// An entry for this host and port, by what is said there as a rule.
pub(in crate::cli) fn entry(host: &str, port: u16) -> String {
    match port {
        80 => format!("http://{host}"),
        443 | 8443 => format!("{host}:{port}"),
        _ => format!("tcp://{host}:{port}"),
    }
}

/// A remedy for these, with the first of them where it has to be named.
pub(in crate::cli) fn filled(remedy: &str, to: &[&str]) -> String {
    /// Where no more is said than whom it is for.
    const ENTRY: &str = "--egress HOST:PORT";
    const OWN: &str = "--egress host.internal:PORT";
    let Some((first, rest)) = to.split_first().filter(|_| remedy.contains(":PORT")) else {
        return remedy.to_owned();
    };
    // A name alone was only looked up, and no port is known of it.
    let parts = |to: &str| {
        let (host, port) = to.rsplit_once(':')?;
        Some((host.to_owned(), port.parse::<u16>().ok()?))
    };
    let filled = parts(first).map_or_else(
        || remedy.replace("HOST", first),
        |(host, port)| {
            let option = |host: &str| format!("--egress {}", entry(host, port));
            let named =
                remedy.replace(ENTRY, &option(&host)).replace(OWN, &option("host.internal"));
            named.replace("HOST", &host).replace(":PORT", &format!(":{port}"))
        },
    );
    let likewise = |to: &&str| {
        let parts = parts(to).filter(|_| remedy.contains(ENTRY));
        parts.map_or_else(|| (*to).to_owned(), |(host, port)| entry(&host, port))
    };
    let rest: Vec<String> = rest.iter().map(likewise).collect();
    if rest.is_empty() { filled } else { format!("{filled}; likewise for {}", rest.join(", ")) }
}

/// That somebody else was at the other end of TLS, and why.
fn ended(Ended { to, secrets }: &Ended) -> String {
    if secrets.is_empty() {
        return format!("requests in TLS are seen by sandboxd: {to}");
    }
    format!(
        "requests in TLS are seen by sandboxd, which puts {} into them: {to}",
        secrets.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::Refused;
    use sandboxd_egress_plan::Verdict;

    #[test]
    fn the_first_few_are_named_and_the_rest_counted() {
        assert_eq!(words("x-1", &Used::default()), "");
        let ended = Ended { to: "api.example:443".into(), secrets: vec!["model".into()] };
        let text = words("x-1", &Used { ended: vec![ended], ..Used::default() });
        assert!(text.contains("which puts model into them: api.example:443"), "{text}");
        let refused = |times: u64| Refused {
            to: format!("h{times}.example:443"),
            why: Verdict::NoRule.text(),
            remedy: Some("--egress HOST:PORT"),
            times,
        };
        let refused = (1..=7).rev().map(refused).collect();
        let used = Used { refused, refused_others: 4, ..Used::default() };
        let text = words("x-1", &used);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 7);
        assert_eq!(
            lines[0],
            "sandboxd: x-1: egress denied: h7.example:443: no rule names it, 7 times"
        );
        assert!(lines[5].contains("no rule names it: --egress h7.example:443"), "{}", lines[5]);
        assert!(lines[5].contains("likewise for h6.example:443"), "{}", lines[5]);
        assert!(filled("--egress HOST:PORT", &["looked.up"]).ends_with("looked.up:PORT"));
        let own = filled("--egress host.internal:PORT", &["[::1]:80", "127.0.0.1:81"]);
        assert_eq!(own, "--egress http://host.internal; likewise for 127.0.0.1:81");
        let by_port =
            filled("--egress HOST:PORT", &["h.example:80", "[2001:db8::1]:5432", "h:443"]);
        assert_eq!(
            by_port,
            "--egress http://h.example; likewise for tcp://[2001:db8::1]:5432, h:443"
        );
        let tcp = filled("--egress tcp://HOST:PORT", &["10.0.0.1:80"]);
        assert_eq!(tcp, "--egress tcp://10.0.0.1:80");
        assert_eq!(filled("idle of the entry", &["h.example:443"]), "idle of the entry");
        assert_eq!(lines[6], "sandboxd: x-1: egress denied: 7 more (see --json)");
    }
}
