//! Keys that log in by SSH.

use crate::support::*;
use sandboxd_egress_plan::{Fingerprint, HostKey, Kept};
use sandboxd_plan::{Arrives, Root, RootOp, Text};
use sandboxd_profiles::host::{KnownHosts, ResolverFacts};
use sandboxd_profiles::{From, HostFacts, Resolved, wanted};

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINqpIRXohWcFDdwT0xKnC9/ptMU5ay8D4puxIhTkpcVt";
const FILE: &str = "/home/alice/.ssh/known_hosts";

fn asked() -> HostFacts {
    let servers = vec!["192.0.2.53:53".parse().unwrap()];
    let key = HostKey::read(KEY).unwrap();
    let of = |host: &str| (host.to_owned(), vec![key.clone()]);
    let found = [of("git.example"), of("[git.example]:2222")].into();
    let known_hosts = [(path(FILE), KnownHosts::Read(found))].into();
    let resolver = ResolverFacts { hosts: Vec::new(), servers, unread: Vec::new() };
    HostFacts { resolver, known_hosts, ..typical() }
}

fn run(text: &str) -> Resolved {
    on(text, asked()).unwrap()
}

fn wrong(text: &str) -> String {
    shown(&on(text, asked()).unwrap_err())
}

fn with(egress: &str, ssh: &str) -> String {
    format!(
        "[network]\nmode = \"egress\"\negress = [{egress}]\n\
         [secrets.deploy]\nfrom = \"file:/k/deploy\"\nssh = {ssh}\n"
    )
}

const TO: &str = "\"tcp://git.example:22\", \"tcp://git.example:2222\"";
const SSH: &str = "{ hosts = [\"git@git.example\", \"me@git.example:2222\"], \
                    known_hosts = \"{home}/.ssh/known_hosts\", sign = [\"git\"] }";

#[test]
fn a_key_signs_for_hosts_by_the_keys_that_they_are_known_by() {
    let resolved = run(&with(TO, SSH));
    let out = resolved.outside.egress.unwrap();
    assert_eq!(out.secrets, ["deploy"]);
    let [signer] = out.agent.signers.as_slice() else { panic!("{:?}", out.agent) };
    assert_eq!((signer.secret, signer.texts.as_slice()), (0, &["git".to_owned()][..]));
    let logins: Vec<_> = signer.logins.iter().map(|one| (one.user.as_str(), one.port)).collect();
    assert_eq!(logins, [("git", 22), ("me", 2222)]);
    assert!(signer.logins.iter().all(|one| one.keys[0].as_str() == KEY && one.keys.len() == 1));
    let Root::Own { ops, .. } = &resolved.plan.root else { panic!("no view") };
    let known = format!("[git.example]:2222 {KEY}\ngit.example {KEY}\n");
    assert!(ops.iter().any(|op| matches!(op, RootOp::File { path, content, .. }
        if path.as_str() == "/etc/ssh/ssh_known_hosts" && *content == known)));
    assert!(ops.iter().any(|op| matches!(op, RootOp::Endpoint { path, arrives }
        if path.as_str() == "/run/sandboxd/ssh-agent.sock" && *arrives == Arrives::Signatures)));
    let told = Text::try_from("SSH_AUTH_SOCK=/run/sandboxd/ssh-agent.sock").unwrap();
    assert!(resolved.plan.exec.env.contains(&told));
    // Without such a key there is none of it.
    let plain = "[network]\nmode = \"egress\"\negress = [\"tcp://git.example:22\"]\n";
    let plain = run(plain);
    let Root::Own { ops, .. } = &plain.plan.root else { panic!("no view") };
    assert!(!ops.iter().any(|op| matches!(op, RootOp::Endpoint { .. })));
    assert!(plain.outside.egress.unwrap().agent.signers.is_empty());
}

#[test]
fn the_keys_of_hosts_are_written_or_looked_for() {
    let profile = read(&with(TO, &SSH.replace("{home}", "/home/alice"))).unwrap();
    let wanted = wanted(&profile, &[]).known_hosts;
    let hosts = ["[git.example]:2222", "git.example"].map(str::to_owned).into();
    assert_eq!(wanted, [(path(FILE), hosts)].into());
    let written = SSH.replace(
        "known_hosts = \"{home}/.ssh/known_hosts\"",
        &format!("host_keys = [\"{KEY} me@here\"]"),
    );
    let out = run(&with(TO, &written)).outside.egress.unwrap();
    assert_eq!(out.agent.signers[0].logins[1].keys[0].as_str(), KEY);
    // Of two hosts, one could pose as the other.
    let hosts = format!(
        "{{ hosts = [\"git@git.example\", \"git@other.example\"], host_keys = [\"{KEY}\"] }}"
    );
    assert!(wrong(&with(TO, &hosts)).contains("nothing says for which"));
    // Nobody asks a proxy for ssh.
    let proxied = with(TO, &written).replace("mode =", "way = \"proxy\"\nmode =");
    assert!(wrong(&proxied).contains("the proxy is the only way out"), "{}", wrong(&proxied));
    // Two tables are one key.
    let two = format!("[{SSH}, {{ sign = [\"file\"] }}]");
    let out = run(&with(TO, &two)).outside.egress.unwrap();
    assert_eq!(out.agent.signers.len(), 1);
    assert_eq!(out.agent.signers[0].texts, ["git", "file"]);
    let text = read(&with(TO, &two)).unwrap().to_toml();
    let again = with_a_command(&text);
    assert_eq!(again.outside.egress.unwrap().agent, out.agent);
}

/// What is shown of a profile, read again.
fn with_a_command(text: &str) -> Resolved {
    let (_, text) = text.split_once("[network]").unwrap();
    run(&format!("[network]{text}"))
}

#[test]
fn what_is_wrong_with_one_says_what_to_write() {
    let host = |host: &str| SSH.replace("git@git.example", host);
    for (ssh, says) in [
        ("{}".to_owned(), "signs nothing"),
        ("{ known_hosts = \"/x\" }".to_owned(), "names none to log in to"),
        ("{ hosts = [\"git@git.example\"] }".to_owned(), "it could be anyone"),
        ("{ hosts = [\"git@git.example\"], known_hosts = \"/x\" }".to_owned(), "cannot be read"),
        (host("git.example"), "name a user and a host"),
        (host("@git.example"), "has no user"),
        (host("g it@git.example"), "has no user"),
        (host("git@192.0.2.1"), "is an address and no name"),
        (host("git@git.example:0"), "its port"),
        (host("git@git.example:http"), "its port"),
        (host("git@other.example"), "no entry of network.egress leads to tcp://other.example:22"),
        (host("git@git.example:443"), "no entry of network.egress leads to tcp://git.example:443"),
        (SSH.replace("[\"git\"]", "[\"a b\"]"), "is not a namespace"),
        ("{ hosts = [], host_keys = [\"ssh-dss AAAA\"] }".to_owned(), "no known kind"),
        ("{ hosts = [], host_keys = [\"git.example ssh-rsa AAAA\"] }".to_owned(), "no known kind"),
    ] {
        let mut host = asked();
        host.known_hosts.insert(path("/x"), KnownHosts::Failed("it is gone".into()));
        let found = shown(&on(&with(TO, &ssh), host).unwrap_err());
        assert!(found.contains(says), "{ssh}: {found}");
    }
    let unknown = with("\"tcp://new.example:22\"", &host("git@new.example"));
    let found = wrong(&unknown);
    assert!(found.contains("has no key of a known type for new.example"), "{found}");
    let tls = wrong(&with("\"git.example:22\", \"git.example:2222\"", SSH));
    assert!(tls.contains("leads to tcp://git.example:22"), "{tls}");
}

const AGENTS: &str = "agent:SHA256:ygYlZPxFPA9Qgp8qXVvdVqkDhuGcJUHDbn8vTBhiDH0";

#[test]
fn a_key_that_an_agent_keeps_is_named_by_its_fingerprint() {
    let kept = with(TO, SSH).replace("file:/k/deploy", AGENTS);
    let resolved = run(&kept);
    let agent = &resolved.outside.egress.as_ref().unwrap().agent;
    assert_eq!((agent.signers[0].kept, agent.signers[0].secret), (Kept::Agent, 0));
    let from = |socket: &str| From::Agent {
        socket: path(socket),
        key: Fingerprint::try_from(AGENTS[6..].to_owned()).unwrap(),
    };
    assert_eq!(resolved.outside.secrets[0].from, from("/run/user/1000/agent"));
    let own = format!("{AGENTS}\"\nsocket = \"/srv/agent");
    let own = run(&with(TO, SSH).replace("file:/k/deploy", &own));
    assert_eq!(own.outside.secrets[0].from, from("/srv/agent"));
    let text = read(&kept).unwrap().to_toml();
    assert_eq!(with_a_command(&text).outside.secrets, resolved.outside.secrets);
    let without = HostFacts { ssh_agent: None, ..asked() };
    let found = shown(&on(&kept, without).unwrap_err());
    assert!(found.contains("without SSH_AUTH_SOCK") && found.contains("ssh-add"), "{found}");
    for (wrong, says) in [
        (kept.replace(AGENTS, "agent:"), "is no fingerprint"),
        (kept.replace(AGENTS, "agent:any"), "is no fingerprint"),
        (kept.replace(AGENTS, "agent:MD5:16:27:ac"), "is no fingerprint"),
        (kept.replace(AGENTS, "file:/k/deploy\"\nsocket = \"/x"), "only applies to agent:"),
        (format!("{kept}credential = true\n"), "never reveals it"),
        (
            format!(
                "{}[files]\nread = [\"/w\"]\n",
                kept.replace(AGENTS, &format!("{AGENTS}\"\nsocket = \"/w/agent"))
            ),
            "the command could ask /w/agent itself",
        ),
    ] {
        let found = self::wrong(&wrong);
        assert!(found.contains(says), "{wrong}: {found}");
    }
}

#[test]
fn nobody_inside_says_who_signs_or_who_a_host_is() {
    let set = format!("{}[env]\nset.SSH_AUTH_SOCK = \"/tmp/mine\"\n", with(TO, SSH));
    assert!(
        wrong(&set)
            .contains("sandboxd sets this variable, to tell the command where its ssh-agent is")
    );
    let own = SSH.replace("{home}/.ssh", "/w");
    let found = wrong(&format!("{}[files]\nwrite = [\"/w\"]\n", with(TO, &own)));
    assert!(found.contains("the command may write /w"), "{found}");
    for folder in ["/etc", "/run"] {
        let granted = format!("{}[files]\nread = [\"{folder}\"]\n", with(TO, SSH));
        let found = wrong(&granted);
        assert!(found.contains("which a grant covers"), "{folder}: {found}");
    }
    let none = with(TO, SSH).replace("mode = \"egress\"\n", "");
    assert!(wrong(&none).contains("only the egress process"), "{}", wrong(&none));
}
