//! An answer of a stranger: what is understood of its head is the same however much follows, and its body ends
//! at one place, however it is cut; what is heard of it is never more than there was.
#![no_main]

use sandboxd_egress::{
    Read,
    http::{Reply, reply},
};

/// The body, read in pieces of this size: what goes on, what was heard, how much was taken.
fn body(reply: &Reply, bytes: &[u8], size: usize) -> Option<(Vec<u8>, Vec<u8>, usize)> {
    let (mut body, mut on, mut heard, mut taken) = (reply.body(), Vec::new(), Vec::new(), 0);
    for piece in bytes.chunks(size) {
        if body.is_over() {
            break;
        }
        taken += body.take_and_hear(piece, &mut on, &mut heard).ok()?;
    }
    Some((on, heard, taken))
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(Read::Done(first, length)) = reply(bytes, "POST") else { return };
    assert_eq!(reply(&bytes[..length], "POST"), Ok(Read::Done(first.clone(), length)));
    let rest = &bytes[length..];
    let whole = body(&first, rest, rest.len().max(1));
    for size in [1, 7] {
        assert_eq!(body(&first, rest, size), whole);
    }
    if let Some((_, heard, taken)) = whole {
        assert!(heard.len() <= taken && taken <= rest.len());
    }
});
