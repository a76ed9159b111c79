//! The first words of TLS: the same however they are cut, and a name that was found is one.
#![no_main]

use sandboxd_egress::{
    Read,
    hello::{Hello, hello},
};
use sandboxd_egress_plan::{HostName, Verdict};

/// The hello of bytes that come in pieces: what is refused early is refused whole.
fn growing(bytes: &[u8], step: usize) -> Result<Read<Hello>, Verdict> {
    for end in (0..bytes.len()).step_by(step) {
        match bytes.get(..end).map(hello) {
            Some(Ok(Read::More)) | None => {}
            Some(other) => return other,
        }
    }
    hello(bytes)
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let whole = hello(bytes);
    let step = bytes.first().map_or(1, |byte| usize::from(*byte)).max(1);
    assert_eq!(growing(bytes, step.max(bytes.len() / 64)), whole);
    if let Ok(Read::Done(found, length)) = whole {
        assert!(length <= bytes.len());
        if let Some(name) = found.server_name {
            assert_eq!(HostName::read(name.as_str().as_bytes()), Ok(name));
        }
    }
});
