//! What a client of an ssh-agent says, and what another agent does that keeps a key: the same however it is cut, and
//! no signature for whoever nobody named.
#![no_main]

use sandboxd_egress::{
    Read,
    ssh::{
        agent::{Agent, Session, Turn},
        asked::asked,
        keeper::{KEYS, Reply, SIGNATURE, reply},
        known,
        message::{Answer, Request, message},
        private,
        public::{fingerprint, kind, verifies},
    },
};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let whole = message(bytes);
    for end in 0..bytes.len() {
        match bytes.get(..end).map(message) {
            Some(Ok(Read::More)) | None => {}
            Some(other) => {
                assert_eq!(other, whole);
                break;
            }
        }
    }
    let agent = Agent::default();
    let mut session = Session::default();
    let mut rest = bytes;
    while let Ok(Read::Done(request, length)) = message(rest) {
        assert!(length <= rest.len());
        rest = rest.get(length..).unwrap_or_default();
        if let Request::Sign { data, .. } = &request {
            assert_eq!(asked(data), asked(data));
        }
        let Turn::Said(answer, _) = agent.answer(&mut session, request, || true) else {
            panic!("a key that is not there")
        };
        assert!(!matches!(answer, Answer::Signature(_)) && !answer.message().is_empty());
    }
    kept(bytes);
    assert_eq!(asked(bytes), asked(bytes));
    assert!(!verifies(bytes, bytes, bytes));
    private::look(bytes).ok();
    if let Ok(text) = std::str::from_utf8(bytes) {
        assert!(known::keys(text, "git.example").len() <= text.lines().count());
    }
});

/// What another agent answers.
fn kept(bytes: &[u8]) {
    let whole = reply(bytes, KEYS);
    for end in 0..bytes.len() {
        match bytes.get(..end).map(|bytes| reply(bytes, KEYS)) {
            Some(Ok(Read::More)) | None => {}
            Some(other) => {
                assert_eq!(other, whole);
                break;
            }
        }
    }
    if let Ok(Read::Done(_, length)) = reply(bytes, SIGNATURE) {
        assert!(length <= bytes.len() && length <= SIGNATURE + 4);
    }
    match whole {
        Ok(Read::Done(Reply::Identities(keys), length)) => {
            // None that is not there, and no room for it.
            assert!(keys.len() * 8 <= length && keys.iter().map(Vec::len).sum::<usize>() < length);
            for key in &keys {
                assert!(fingerprint(key).is_some());
                assert!(kind(key).is_none_or(|kind| key.len() >= kind.len()));
            }
        }
        Ok(Read::Done(Reply::Signature(signature), _)) => {
            assert!(!verifies(&signature, b"a text", &signature));
        }
        Ok(Read::Done(Reply::Done | Reply::Other, _) | Read::More) | Err(_) => {}
    }
}
