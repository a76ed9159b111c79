//! What a client of SOCKS says: the same however it is cut.
#![no_main]

use sandboxd_egress::{
    Read,
    socks::{greeting, request},
};

/// What it is at the shortest beginning that is something.
fn growing<T: PartialEq + std::fmt::Debug, E: PartialEq + std::fmt::Debug>(
    bytes: &[u8],
    read: fn(&[u8]) -> Result<Read<T>, E>,
) {
    let whole = read(bytes);
    for end in 0..bytes.len() {
        match bytes.get(..end).map(read) {
            Some(Ok(Read::More)) | None => {}
            Some(other) => return assert_eq!(other, whole),
        }
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    growing(bytes, greeting);
    growing(bytes, request);
    if let Ok(Read::Done(place, length)) = request(bytes) {
        assert!(length <= bytes.len() && place.port != 0);
    }
});
