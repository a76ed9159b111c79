//! A request of a stranger: what is understood is written so that it is read as the same request again,
//! and its body so that it ends at the same place.
#![no_main]

use sandboxd_egress::{
    Read,
    http::{Body, Head, head},
    rule::{Cover, Place, Whom},
};
use sandboxd_egress_plan::HostName;

fn read(bytes: &[u8]) -> Option<(Head, &[u8])> {
    match head(bytes) {
        Ok(Read::Done(head, length)) => Some((head, bytes.get(length..)?)),
        Ok(Read::More) | Err(_) => None,
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = read(bytes) else { return };
    let Ok(name) = HostName::read(b"a.example") else { return };
    let place = Place { whom: Whom::Name(name), port: 8080 };
    let at = (&place, Cover::Plain);
    let text = first.written(at, first.close, &[]);
    if first.target == sandboxd_egress::http::Target::Tunnel {
        return;
    }
    let mut written = text.to_vec();
    let mut body = Body::new(first.framing);
    let mut plain = Vec::new();
    let Ok(taken) = body.take(rest, &mut plain) else { return };
    assert!(taken <= rest.len());
    written.extend_from_slice(&plain);
    let Some((second, rest)) = read(&written) else {
        panic!("{:?} is no request", String::from_utf8_lossy(&text));
    };
    assert_eq!((&second.method, &second.target), (&first.method, &first.target));
    assert_eq!((second.framing, second.close), (first.framing, first.close));
    assert_eq!(second.written(at, second.close, &[]), text);
    let (mut again, mut same) = (Body::new(second.framing), Vec::new());
    assert_eq!(again.take(rest, &mut same), Ok(rest.len()));
    assert_eq!((same, again.is_over()), (plain, body.is_over()));
});
