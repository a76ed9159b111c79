//! Secrets: where each is read, and who uses it.

use crate::support::*;
use sandboxd_egress_plan::{Carries, Requests, Spot, Which};
use sandboxd_plan::{Root, RootOp, Text};
use sandboxd_profiles::host::ResolverFacts;
use sandboxd_profiles::{Copied, From, Held, HostFacts, Resolved};

fn asked() -> HostFacts {
    let servers = vec!["192.0.2.53:53".parse().unwrap()];
    HostFacts {
        resolver: ResolverFacts { hosts: Vec::new(), servers, unread: Vec::new() },
        ..typical()
    }
}

fn run(text: &str) -> Resolved {
    on(text, asked()).unwrap()
}

fn wrong(text: &str) -> String {
    shown(&on(text, asked()).unwrap_err())
}

const TOKEN: &str = "[secrets.token]\nfrom = \"file:keys/token\"\ncredential = true\n";

#[test]
fn a_credential_is_read_once_and_is_the_commands_alone() {
    let resolved = run(TOKEN);
    let held = Held { name: "token".into(), from: From::File(path("/p/keys/token")) };
    assert_eq!(resolved.outside.secrets, [held]);
    assert_eq!(resolved.outside.copies, [Copied::Secret(0)]);
    let Root::Own { ops, .. } = &resolved.plan.root else { panic!("no view") };
    let own = resolved.plan.command.identity.uid;
    assert!(ops.iter().any(|op| matches!(op, RootOp::Copy { path, owner, .. }
        if path.as_str() == "/run/credentials/token" && owner.uid == own)));
    let told = Text::try_from("CREDENTIALS_DIRECTORY=/run/credentials").unwrap();
    assert!(resolved.plan.exec.env.contains(&told));
    let other = run(&TOKEN.replace("true", "\"key.pem\""));
    let Root::Own { ops, .. } = &other.plan.root else { panic!("no view") };
    assert!(ops.iter().any(|op| matches!(op, RootOp::Copy { path, .. }
        if path.as_str() == "/run/credentials/key.pem")));
}

#[test]
fn it_is_read_from_anywhere_that_only_the_operator_has() {
    for (from, held) in [
        ("systemd:model", From::Systemd("model".into())),
        ("env:MODEL_KEY", From::Env("MODEL_KEY".into())),
        ("file:/etc/keys/model", From::File(path("/etc/keys/model"))),
        ("file:{home}/.keys/model", From::File(path("/home/alice/.keys/model"))),
    ] {
        let text = TOKEN.replace("file:keys/token", from);
        assert_eq!(run(&text).outside.secrets[0].from, held, "{from}");
    }
    let text = TOKEN.replace(
        "file:keys/token\"",
        "exec:/usr/bin/pass\"\narguments = [\"show\", \"the model\"]",
    );
    let arguments = ["show", "the model"].map(str::to_owned).into();
    let program = From::Exec { program: path("/usr/bin/pass"), arguments };
    assert_eq!(run(&text).outside.secrets[0].from, program);
    let text = TOKEN.replace("file:keys/token\"", "age:keys/token.age\"\nidentity = \"keys/age\"");
    let age = From::Age { file: path("/p/keys/token.age"), identity: path("/p/keys/age") };
    assert_eq!(run(&text).outside.secrets[0].from, age);
}

#[test]
fn what_is_wrong_with_one_says_what_to_write() {
    for (text, says) in [
        ("[secrets.token]\ncredential = true\n", "nothing says where to read it from"),
        ("[secrets.token]\nfrom = \"file:/x\"\n", "nothing uses token"),
        ("[secrets.token]\nfrom = \"file:/x\"\ncredential = false\n", "nothing uses token"),
        ("[secrets.Token]\nfrom = \"file:/x\"\n", "name it as in [secrets.model]"),
        ("[secrets.t]\nfrom = \"/x\"\n", "does not say what kind it is"),
        ("[secrets.t]\nfrom = \"vault:x\"\n", "not a known source"),
        ("[secrets.t]\nfrom = \"file:../x\"\n", "no `..`"),
        ("[secrets.t]\nfrom = \"env:A=B\"\n", "not the name of a variable"),
        ("[secrets.t]\nfrom = \"systemd:../x\"\n", "not the name of a credential"),
        ("[secrets.t]\nfrom = \"exec:pass\"\n", "is not absolute"),
        ("[secrets.t]\nfrom = \"exec:/usr/bin/pass show\"\n", "arguments = "),
        ("[secrets.t]\nfrom = \"file:/x\"\narguments = [\"a\"]\n", "only applies to exec:"),
        ("[secrets.t]\narguments = [\"a\"]\n", "only applies to exec:"),
        ("[secrets.t]\nidentity = \"/y\"\n", "only applies to age:"),
        ("[secrets.t]\nfrom = \"age:/x\"\n", "needs identity, the key that decrypts it"),
        ("[secrets.t]\nfrom = \"file:/x\"\nidentity = \"/y\"\n", "only applies to age:"),
        (
            "[secrets.t]\nfrom = \"file:/x\"\ncredential = \"a/b\"\n",
            "is not the name of a credential",
        ),
    ] {
        let found = wrong(text);
        assert!(found.contains(says), "{text}: {found}");
    }
}

#[test]
fn nobody_inside_can_read_it_where_it_is_read() {
    let text = TOKEN.replace("keys/token", "/srv/token");
    let found = wrong(&format!("{text}[files]\nread = [\"/srv\"]\n"));
    assert!(found.contains("the command could read /srv/token itself"), "{found}");
    let bound =
        format!("{text}[files]\nbind = [{{ from = \"/srv\", to = \"/x\", access = \"read\" }}]\n");
    assert!(wrong(&bound).contains("could read"), "{bound}");
    let program = TOKEN.replace("file:keys/token", "exec:/w/give");
    let found = wrong(&format!("{program}[files]\nwrite = [\"/w\"]\n"));
    assert!(found.contains("may write /w, and so replace"), "{found}");
    run(&format!("{program}[files]\nread = [\"/w\"]\n"));
    let script = "exec:/bin/sh\"\narguments = [\"-e\", \"/w/give.sh\", \"w/x\"]#";
    let script = TOKEN.replace("file:keys/token", script);
    let found = wrong(&format!("{script}[files]\nwrite = [\"/w\"]\n"));
    assert!(found.contains("and so replace /w/give.sh"), "{found}");
    run(&format!("{script}[files]\nread = [\"/w\"]\n"));
    let hidden = TOKEN.replace("keys/token", "/w/.env");
    run(&format!("{hidden}[files]\nread = [\"/w\"]\nhide = [\"/w/.env\"]\n"));
    let passed = TOKEN.replace("file:keys/token", "env:LANG");
    assert!(
        wrong(&format!("{passed}[env]\npass = [\"LANG\"]\n")).contains("[env].pass also gives")
    );
    let handed = TOKEN.replace("file:keys/token", "systemd:key")
        + "inject = { host = \"api.example.com\", basic = \"me\" }\n\
           [command]\ncredentials = [\"key\"]\n\
           [network]\nmode = \"egress\"\negress = [\"api.example.com:443\"]\n";
    let known = "is a secret that the command must not have";
    assert!(!wrong(&handed).contains(known));
    let found = wrong(&handed.replace("credential = true\n", ""));
    assert!(found.contains(&format!("command.credentials[0]: \"key\" {known}")), "{found}");
}

#[test]
fn a_file_of_the_commands_own_needs_a_place_of_its_own() {
    let found = wrong(&format!("{TOKEN}[command]\ncredentials = [\"token\"]\n"));
    assert!(found.contains("[command].credentials also has"), "{found}");
    let found = wrong(&format!("{TOKEN}[secrets.b]\nfrom = \"file:/x\"\ncredential = \"token\"\n"));
    assert!(found.contains("another secret has the file name"), "{found}");
    let found = wrong(&format!("{TOKEN}[env]\npass = [\"CREDENTIALS_DIRECTORY\"]\n"));
    assert!(found.contains("sandboxd sets this variable"), "{found}");
    let found = shown(&on(&format!("isolation = \"landlock\"\n{TOKEN}"), typical()).unwrap_err());
    assert!(found.contains("no file that only the command can find"), "{found}");
}

#[test]
fn a_profile_that_is_laid_over_another_reads_it_elsewhere() {
    let mut profile = read(TOKEN).unwrap();
    let mut typed = overrides("/usr/bin/true");
    typed.set = vec!["secrets.token.from=\"file:/elsewhere\"".into()];
    profile.apply(&typed).unwrap();
    let text = profile.to_toml();
    assert!(text.contains("[secrets.token]\nfrom = \"file:/elsewhere\""), "{text}");
    assert!(text.contains("credential = \"token\""), "{text}");
}

const PUT: &str = "[network]\nmode = \"egress\"\negress = [\"api.example.com:443\", \"pypi.example:443\"]\n\
    [secrets.model]\nfrom = \"file:keys/model\"\n\
    inject = { host = \"api.example.com\", header = \"Authorization\", format = \"Bearer {}\" }\n";

#[test]
fn where_a_secret_is_put_into_requests_tls_is_ended_and_nowhere_else() {
    let resolved = run(PUT);
    let out = resolved.outside.egress.unwrap();
    assert_eq!(out.rules[0].carries, Carries::Https(Requests::All));
    assert_eq!(out.rules[1].carries, Carries::Tls);
    assert_eq!(out.secrets, ["model"]);
    let name = String::from("authorization").try_into().unwrap();
    let spot = Spot::Header { name, before: "Bearer ".into(), after: String::new() };
    assert_eq!((out.injects[0].secret, &out.injects[0].spot), (0, &spot));
    // The command does not have it, and trusts who stands for its host.
    assert_eq!(resolved.outside.copies, [Copied::Authority, Copied::JavaStore]);
    let told = Text::try_from("SSL_CERT_FILE=/run/sandboxd/ca.pem").unwrap();
    assert!(resolved.plan.exec.env.contains(&told));
    let java = |text: &str| {
        let env = run(text).plan.exec.env;
        let all = env.iter().map(|one| String::from_utf8_lossy(one.as_bytes()).into_owned());
        all.filter_map(|one| one.strip_prefix("JAVA_TOOL_OPTIONS=").map(str::to_owned)).next()
    };
    let told = java(PUT).unwrap();
    assert!(told.starts_with("-Djavax.net.ssl.trustStore=/run/sandboxd/ca.jks "), "{told}");
    let own = java(&format!("[env]\nset = {{ JAVA_TOOL_OPTIONS = \"-Xmx64m\" }}\n{PUT}")).unwrap();
    assert_eq!(own, format!("{told} -Xmx64m"));
    let proxied = java(&PUT.replace("mode =", "way = \"both\"\nmode =")).unwrap();
    assert!(proxied.contains("-Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=3128"), "{proxied}");
    assert_eq!(java("[network]\nmode = \"egress\"\negress = [\"a.example:443\"]\n"), None);
    let plain = run(&PUT.replace("[secrets", "[env]\nset = { X = \"1\" }\n[secrets").replace(
        "host = \"api.example.com\"",
        "host = \"api.example.com\", method = \"GET\", path = \"/v1/*\"",
    ));
    let out = plain.outside.egress.unwrap();
    let only = |text: &str| Which::Only(text.to_owned().try_into().unwrap());
    assert_eq!(out.injects[0].method, only("GET"));
    assert!(matches!(&out.injects[0].path, Which::Only(path) if path.as_str() == "/v1/*"));
}

#[test]
fn a_secret_that_could_be_read_on_its_way_is_put_nowhere() {
    for (from, to, says) in [
        ("\"api.example.com:443\"", "\"http://api.example.com:443\"", "without TLS"),
        ("\"api.example.com:443\"", "\"tcp://api.example.com:443\"", "without TLS"),
        ("\"api.example.com:443\"", "\"*.example.com:443\"", "is for many hosts"),
        ("host = \"api.example.com\"", "host = \"other.example\"", "leads to other.example:443"),
        ("host = \"api.example.com\"", "host = \"10.0.0.1\"", "its host"),
        ("header = \"Authorization\"", "header = \"Host\"", "how a request is to be carried"),
        ("Bearer {}", "Bearer", "{} once"),
        ("header =", "query = \"x\", header =", "one place"),
        (
            "[secrets.model]",
            "[env]\nset = { SSL_CERT_FILE = \"/x\" }\n[secrets.model]",
            "which certificates to trust",
        ),
    ] {
        let said = wrong(&PUT.replacen(from, to, 1));
        assert!(said.contains(says), "{says}: {said}");
    }
}
