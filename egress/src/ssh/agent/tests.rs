//! With what OpenSSH writes.

use super::super::asked::tests::{login_of, text_of};
use super::super::message::message;
use super::super::private::{KeyError, look};
use super::super::wire::{Wire, strings};
use super::*;
use crate::Read;
use sandboxd_egress_plan::ssh::unbase64;
use sandboxd_egress_plan::{Fingerprint, HostKey, HostName};

macro_rules! vectors {
    ($($name:literal),+) => {
        &[$(($name, include_bytes!(concat!("../vectors/", $name)))),+]
    };
}

fn vector(name: &str) -> &'static [u8] {
    const ALL: &[(&str, &[u8])] = vectors!(
        "ed25519.key",
        "ed25519.pub",
        "ed25519.sig",
        "ed25519.host",
        "ed25519-ed25519.session",
        "p256.key",
        "p256.pub",
        "p256.sig",
        "p256.host",
        "p256-rsa.session",
        "p384.key",
        "p384.pub",
        "p384.sig",
        "rsa.key",
        "rsa.pub",
        "rsa.sig",
        "rsa.host",
        "rsa-rsa.session",
        "encrypted.key",
        "p521.key",
        "small.key",
        "pem.key"
    );
    ALL.iter().find(|(known, _)| *known == name).unwrap().1
}

fn text(name: &str) -> &'static str {
    std::str::from_utf8(vector(name)).unwrap()
}

const KINDS: [&str; 4] = ["ed25519", "p256", "p384", "rsa"];
const SHA512: u32 = 4;

fn key(kind: &str) -> Key {
    Key::read(vector(&format!("{kind}.key"))).unwrap()
}

#[test]
fn keys_of_ssh_keygen_are_read_and_sign() {
    for kind in KINDS {
        assert_eq!(look(vector(&format!("{kind}.key"))), Ok(()));
        let key = key(kind);
        let public = HostKey::read(text(&format!("{kind}.pub"))).unwrap();
        assert_eq!(key.public(), public.blob(), "{kind}");
        for flags in [2, SHA512] {
            let signature = key.sign(b"data", flags).unwrap();
            assert!(verifies(key.public(), b"data", &signature), "{kind}");
            assert!(!verifies(key.public(), b"Data", &signature), "{kind}");
            assert_eq!(
                Wire(&signature).string(),
                algorithm(key.public(), flags).map(str::as_bytes)
            );
        }
        assert!(!format!("{key:?}").contains("AAAA"));
    }
    assert_eq!(key("rsa").sign(b"data", 0), None, "SHA-1");
    let opened = "SHA256:Ge6w+zhgyioFqBnabSU2cZBNWeBZnILKnxZQd8wnIcQ";
    let opened = KeyError::Encrypted(Some(Fingerprint::try_from(opened.to_owned()).unwrap()));
    assert!(
        opened
            .remedy()
            .contains("write from = \"agent:SHA256:Ge6w+zhgyioFqBnabSU2cZBNWeBZnILKnxZQd8wnIcQ\"")
    );
    for (name, why) in [
        ("encrypted.key", opened),
        ("p521.key", KeyError::Kind),
        ("small.key", KeyError::Kind),
        ("pem.key", KeyError::Format),
        ("ed25519.pub", KeyError::Format),
    ] {
        assert_eq!(Key::read(vector(name)).unwrap_err(), why, "{name}");
        assert_eq!(look(vector(name)), Err(why), "{name}");
    }
}

#[test]
fn a_key_that_is_damaged_is_none_or_the_same() {
    for kind in ["ed25519", "p256"] {
        let whole = text(&format!("{kind}.key"));
        let inner: String = whole.lines().filter(|line| !line.starts_with('-')).collect();
        let bytes = unbase64(&inner).unwrap();
        let written = |bytes: &[u8]| {
            let inner = sandboxd_audit::encode::base64(bytes);
            Key::read(
                whole
                    .replace(whole.get(36..whole.len() - 35).unwrap(), &[&inner, "\n"].concat())
                    .as_bytes(),
            )
        };
        assert_eq!(written(&bytes).unwrap().public(), key(kind).public());
        let mut refused = 0;
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            match written(&damaged) {
                Ok(read) => assert_eq!(read.public(), key(kind).public(), "{kind} {at}"),
                Err(_) => refused += 1,
            }
        }
        // What is said of it in words is nobody's promise.
        assert!(refused > bytes.len() * 3 / 4, "{kind}: {refused} of {}", bytes.len());
    }
}

/// As `ssh-keygen -t ed25519-sk` writes it, but for what the token has of it.
#[test]
fn a_key_on_a_token_is_sent_to_an_agent() {
    let kind = b"sk-ssh-ed25519@openssh.com";
    let public = strings(&[kind, &[7; 32], b"ssh:"]);
    let inner = [
        b"openssh-key-v1\0".to_vec(),
        strings(&[b"none", b"none", b""]),
        vec![0, 0, 0, 1],
        strings(&[&public, b"a handle"]),
    ];
    let lines = sandboxd_egress_plan::ssh::line("", &inner.concat());
    let text = format!(
        "-----BEGIN OPENSSH PRIVATE KEY-----\n{}\n-----END OPENSSH PRIVATE KEY-----\n",
        lines.trim()
    );
    let why = KeyError::Token(crate::ssh::public::fingerprint(&public));
    assert_eq!(look(text.as_bytes()), Err(why));
    assert!(why.remedy().contains("from = \"agent:SHA256:"), "{}", why.remedy());
}

/// What `ssh-keygen -Y sign` signed, and with what.
#[test]
fn signatures_of_ssh_keygen_hold() {
    for kind in KINDS {
        let armored = text(&format!("{kind}.sig"));
        let inner: String = armored.lines().filter(|line| !line.starts_with("-----")).collect();
        let blob = unbase64(&inner).unwrap();
        let mut wire = Wire(blob.strip_prefix(b"SSHSIG\0\0\0\x01").unwrap());
        let mut next = || wire.string().unwrap();
        let [public, namespace, reserved, hash, signature] =
            [next(), next(), next(), next(), next()];
        assert_eq!((namespace, reserved, hash), (&b"git"[..], &b""[..], &b"sha512"[..]));
        let digest = ring::digest::digest(&ring::digest::SHA512, b"a text\n");
        let data = [&b"SSHSIG"[..], &strings(&[b"git", b"", b"sha512", digest.as_ref()])].concat();
        assert!(verifies(public, &data, signature), "{kind}");
        assert_eq!(asked(&data), Some(Asked::Text { namespace: b"git" }));
        for at in [0, 30, data.len() - 1] {
            let mut other = data.clone();
            other[at] ^= 1;
            assert!(!verifies(public, &other, signature), "{kind}");
        }
    }
}

/// An agent with this key, for `root` at a host of these keys.
fn agent(kind: &str, hosts: &[&str], texts: &[&str]) -> Agent {
    let keys = hosts.iter().map(|host| HostKey::read(text(host)).unwrap()).collect();
    let login = Login {
        user: "root".into(),
        host: HostName::try_from("git.example").unwrap(),
        port: 22,
        keys,
    };
    let texts = texts.iter().map(|text| (*text).to_owned()).collect();
    let logins = if hosts.is_empty() { vec![] } else { vec![login] };
    let signer = Signer { secret: 0, kept: Kept::Here, logins, texts };
    Agent(vec![Held { key: Half::Both(Box::new(key(kind))), signer, name: "deploy".into() }])
}

/// What ssh said while it logged in.
fn session(name: &str) -> Vec<Request> {
    let bytes = |line: &str| -> Vec<u8> {
        let pairs = line.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
        pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
    };
    let requests = text(name).lines().map(|line| match message(&bytes(line)) {
        Ok(Read::Done(request, _)) => request,
        other => panic!("{other:?}"),
    });
    requests.collect()
}

fn answers(agent: &Agent, requests: &[Request]) -> Vec<(Answer, Option<Signed>)> {
    let mut session = Session::default();
    let all = requests.iter().map(|request| {
        let (answer, told) = said(agent.answer(&mut session, request.clone(), || true));
        (answer, told.map(|told| told.signed))
    });
    all.collect()
}

fn said(turn: Turn) -> (Answer, Option<Signing>) {
    match turn {
        Turn::Said(answer, told) => (answer, told),
        Turn::Asks(ask) => panic!("{ask:?}"),
    }
}

fn last(agent: &Agent, requests: &[Request]) -> Option<Signed> {
    let (answer, told) = answers(agent, requests).pop().unwrap();
    let signs = matches!(answer, Answer::Signature(_));
    assert_eq!(signs, matches!(told, Some(Signed::Login | Signed::Text)), "{answer:?}");
    told
}

const SESSIONS: [(&str, &str); 3] = [("ed25519", "ed25519"), ("p256", "rsa"), ("rsa", "rsa")];

#[test]
fn what_ssh_asks_in_a_session_with_the_named_host_is_signed() {
    for (host, kind) in SESSIONS {
        let requests = session(&format!("{host}-{kind}.session"));
        let own = format!("{host}.host");
        let others = ["ed25519.host", "p256.host", "rsa.host"];
        let agent = agent(kind, &[&own], &[]);
        let all = answers(&agent, &requests);
        assert_eq!(all[0].0, Answer::Done);
        assert!(matches!(&all[1].0, Answer::Identities(keys) if keys.len() == 1));
        let Request::Sign { key, data, .. } = requests.last().unwrap() else { panic!("none") };
        let Answer::Signature(signature) = &all.last().unwrap().0 else { panic!("{all:?}") };
        assert!(verifies(key, data, signature));
        assert_eq!(all.last().unwrap().1, Some(Signed::Login));
        // With another host's keys there is none, and the key is not shown.
        let others: Vec<&str> = others.into_iter().filter(|other| *other != own).collect();
        let other = super::tests::agent(kind, &others, &["git"]);
        assert_eq!(last(&other, &requests), Some(Signed::Host));
        assert_eq!(answers(&other, &requests)[1].0, Answer::Identities(vec![]));
    }
}

#[test]
fn who_says_something_else_of_a_session_gets_no_signature() {
    for (host, kind) in SESSIONS {
        let requests = session(&format!("{host}-{kind}.session"));
        let agent = agent(kind, &[&format!("{host}.host")], &["git"]);
        let (Request::Bind(bind), Some(sign)) = (&requests[0], requests.last()) else { panic!() };
        let Request::Sign { key, data, flags } = sign else { panic!() };
        let with = |change: &dyn Fn(&mut Bind)| {
            let mut bind = bind.clone();
            change(&mut bind);
            last(&agent, &[Request::Bind(bind), sign.clone()])
        };
        assert_eq!(with(&|_| {}), Some(Signed::Login));
        assert_eq!(last(&agent, std::slice::from_ref(sign)), Some(Signed::Unbound));
        assert_eq!(with(&|bind| bind.forwarding = true), Some(Signed::Forwarded));
        assert_eq!(with(&|bind| bind.session[3] ^= 1), Some(Signed::Binding));
        assert_eq!(with(&|bind| bind.signature[30] ^= 1), Some(Signed::Binding));
        assert_eq!(with(&|bind| bind.signature.clear()), Some(Signed::Binding));
        assert_eq!(with(&|bind| bind.host[20] ^= 1), Some(Signed::Host));
        // Whoever named one session names no other, nor the same again.
        let again = [requests[0].clone(), requests[0].clone(), sign.clone()];
        assert_eq!(last(&agent, &again), Some(Signed::Session));
        // Nor is a text signed at the end of a forwarded agent.
        let asks = Request::Sign { key: key.clone(), data: text_of(b"git"), flags: *flags };
        let forwarded = Request::Bind(Bind { forwarding: true, ..bind.clone() });
        assert_eq!(last(&agent, std::slice::from_ref(&asks)), Some(Signed::Text));
        assert_eq!(last(&agent, &[forwarded, asks]), Some(Signed::Forwarded));
        let twice = [Request::Bind(Bind { forwarding: true, ..bind.clone() }), requests[0].clone()];
        assert_eq!(last(&agent, &twice), Some(Signed::Forwarded));
        // Another session's, another user's, in another way.
        let algorithm = algorithm(key, *flags).unwrap().as_bytes();
        let asks = |data: Vec<u8>, flags| {
            let sign = Request::Sign { key: key.clone(), data, flags };
            last(&agent, &[requests[0].clone(), sign])
        };
        let own = (algorithm, key.as_slice());
        assert_eq!(asks(login_of(&bind.session, b"root", own), *flags), Some(Signed::Login));
        assert_eq!(asks(login_of(b"session", b"root", own), *flags), Some(Signed::Session));
        assert_eq!(asks(login_of(&bind.session, b"git", own), *flags), Some(Signed::User));
        let other = (algorithm, &b"key"[..]);
        assert_eq!(asks(login_of(&bind.session, b"root", other), *flags), Some(Signed::Algorithm));
        let other = (&b"ssh-rsa"[..], key.as_slice());
        assert_eq!(asks(login_of(&bind.session, b"root", other), *flags), Some(Signed::Algorithm));
        assert_eq!(asks(b"anything".to_vec(), *flags), Some(Signed::Malformed));
        assert_eq!(asks(bind.session.clone(), *flags), Some(Signed::Malformed));
        // OpenSSH binds a login to the key of the host, where the host can.
        let Some(Asked::Login(Wanted { host: Some(_), .. })) = asked(data) else { panic!() };
        let mut bound = data.clone();
        *bound.last_mut().unwrap() ^= 1;
        assert_eq!(asks(bound, *flags), Some(Signed::Session));
    }
}

#[test]
fn texts_of_a_named_namespace_are_signed_and_nothing_else_is_done() {
    let both = agent("ed25519", &["ed25519.host"], &["git"]);
    let public = key("ed25519").public().to_vec();
    let sign = |data| Request::Sign { key: public.clone(), data, flags: 0 };
    assert_eq!(last(&both, &[sign(text_of(b"git"))]), Some(Signed::Text));
    assert_eq!(last(&both, &[sign(text_of(b"file"))]), Some(Signed::Namespace));
    let only = agent("ed25519", &["ed25519.host"], &[]);
    assert_eq!(last(&only, &[sign(text_of(b"git"))]), Some(Signed::Namespace));
    let texts = agent("ed25519", &[], &["git"]);
    let requests = session("ed25519-ed25519.session");
    assert_eq!(last(&texts, &requests), Some(Signed::Host));
    let other = Request::Sign { key: b"key".to_vec(), data: text_of(b"git"), flags: 0 };
    assert_eq!(last(&both, &[other]), Some(Signed::Key));
    for extension in [true, false] {
        let other = Request::Other { extension };
        assert_eq!(last(&both, &[other]), Some(Signed::Operation));
    }
    let mut session = Session::default();
    let (answer, told) = said(both.answer(&mut session, sign(text_of(b"git")), || false));
    assert_eq!((answer, told.unwrap().signed), (Answer::Refused, Signed::Rate));
    let (answer, told) = said(both.answer(&mut session, Request::Identities, || false));
    assert_eq!(answer, Answer::Identities(vec![(public, "deploy".into())]));
    assert_eq!(told, None);
}

/// The same, where another agent keeps the private half.
fn kept(kind: &str, hosts: &[&str], texts: &[&str]) -> Agent {
    let mut agent = agent(kind, hosts, texts);
    for held in &mut agent.0 {
        held.key = Half::Public(key(kind).public().to_vec());
        held.signer.kept = Kept::Agent;
    }
    agent
}

/// What is asked of the agent that keeps the key, at the end of these requests.
fn asks(agent: &Agent, requests: &[Request]) -> Result<Ask, Option<Signed>> {
    let (last, before) = requests.split_last().unwrap();
    let mut session = Session::default();
    for request in before {
        said(agent.answer(&mut session, request.clone(), || true));
    }
    match agent.answer(&mut session, last.clone(), || true) {
        Turn::Asks(ask) => Ok(ask),
        Turn::Said(answer, told) => {
            assert!(!matches!(answer, Answer::Signature(_)), "{answer:?}");
            Err(told.map(|told| told.signed))
        }
    }
}

#[test]
fn another_agent_is_asked_for_what_would_be_signed_here_and_nothing_else() {
    for (host, kind) in SESSIONS {
        let requests = session(&format!("{host}-{kind}.session"));
        let agent = kept(kind, &[&format!("{host}.host")], &["git"]);
        let (Request::Bind(bind), Some(sign)) = (&requests[0], requests.last()) else { panic!() };
        let Request::Sign { key, data, flags } = sign else { panic!() };
        let ask = asks(&agent, &requests).unwrap();
        assert_eq!(
            (&ask.key, &ask.data, ask.flags, ask.bind.as_ref()),
            (key, data, *flags, Some(bind))
        );
        let signature = self::key(kind).sign(data, *flags).unwrap();
        let (answer, told) = ask.answered(Ok(signature.clone()));
        assert_eq!((answer, told.signed), (Answer::Signature(signature), Signed::Login));
        // A text is of no session.
        let text = Request::Sign { key: key.clone(), data: text_of(b"git"), flags: *flags };
        let ask = asks(&agent, std::slice::from_ref(&text)).unwrap();
        assert!(ask.bind.is_none() && ask.data == text_of(b"git"));
        // What is refused here is not asked there.
        assert_eq!(asks(&agent, std::slice::from_ref(sign)).unwrap_err(), Some(Signed::Unbound));
        let forwarded = Request::Bind(Bind { forwarding: true, ..bind.clone() });
        assert_eq!(asks(&agent, &[forwarded, text]).unwrap_err(), Some(Signed::Forwarded));
        let other = login_of(&bind.session, b"git", (b"ssh-ed25519", key));
        let other = Request::Sign { key: key.clone(), data: other, flags: *flags };
        assert!(asks(&agent, &[requests[0].clone(), other]).is_err());
    }
}

#[test]
fn what_another_agent_answers_is_a_signature_of_the_key_or_nothing() {
    let agent = kept("ed25519", &["ed25519.host"], &["git"]);
    let requests = session("ed25519-ed25519.session");
    let Some(Request::Sign { data, .. }) = requests.last() else { panic!() };
    let good = key("ed25519").sign(data, 0).unwrap();
    let refused = |answered: Result<Vec<u8>, Signed>| {
        let (answer, told) = asks(&agent, &requests).unwrap().answered(answered);
        assert_eq!((answer, told.leave), (Answer::Refused, None));
        told.signed
    };
    for at in 0..good.len() {
        let mut wrong = good.clone();
        wrong[at] ^= 1;
        assert_eq!(refused(Ok(wrong)), Signed::Wrong, "{at}");
    }
    let another = key("rsa").sign(data, 4).unwrap();
    let of_another_text = key("ed25519").sign(b"another", 0).unwrap();
    for wrong in [vec![], another, of_another_text, [good, vec![0]].concat()] {
        assert_eq!(refused(Ok(wrong)), Signed::Wrong);
    }
    assert_eq!(refused(Err(Signed::Late)), Signed::Late);
}

/// As PROTOCOL.u2f of OpenSSH has it.
#[test]
fn the_signature_of_a_token_holds_for_what_it_says_of_itself_too() {
    use ring::digest::{SHA256, digest};
    use ring::signature::{Ed25519KeyPair, KeyPair as _};
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let kind = b"sk-ssh-ed25519@openssh.com";
    let public = strings(&[kind, pair.public_key().as_ref(), b"ssh:"]);
    let signed = |text: &[u8], flags: u8, counter: u32| {
        let [application, text] = [b"ssh:", text].map(|bytes| digest(&SHA256, bytes));
        let said = [&[flags][..], &counter.to_be_bytes()].concat();
        let data = [application.as_ref(), &said, text.as_ref()].concat();
        [strings(&[kind, pair.sign(&data).as_ref()]), said].concat()
    };
    let good = signed(b"a text", 1, 9);
    assert!(verifies(&public, b"a text", &good));
    assert!(!verifies(&public, b"another", &good));
    assert!(!verifies(&strings(&[kind, pair.public_key().as_ref(), b"ssh:x"]), b"a text", &good));
    for at in 0..good.len() {
        let mut wrong = good.clone();
        wrong[at] ^= 1;
        assert!(!verifies(&public, b"a text", &wrong), "{at}");
    }
    assert!(!verifies(&public, b"a text", &good[..good.len() - 5]));
    assert_eq!(algorithm(&public, 4).map(str::as_bytes), Some(&kind[..]));
}
