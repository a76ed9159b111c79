//! What a client of an ssh-agent says: the same however it is cut, and no signature for whoever nobody named.
#![no_main]

use sandboxd_egress::{
    Read,
    ssh::{
        agent::{Agent, Session},
        asked::asked,
        known,
        message::{Answer, Request, message},
        private,
        public::verifies,
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
        let (answer, _) = agent.answer(&mut session, request, || true);
        assert!(!matches!(answer, Answer::Signature(_)) && !answer.message().is_empty());
    }
    assert_eq!(asked(bytes), asked(bytes));
    assert!(!verifies(bytes, bytes, bytes));
    private::look(bytes).ok();
    if let Ok(text) = std::str::from_utf8(bytes) {
        assert!(known::keys(text, "git.example").len() <= text.lines().count());
    }
});
