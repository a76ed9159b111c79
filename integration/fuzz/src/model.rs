//! An answer of a model's API: however it is cut, the same is counted, and never more comes out than a token for
//! each byte, where nothing is said.
#![no_main]

use sandboxd_egress::{
    http::{Ends, Reply},
    model::{api::Format, ask::Ask, count::Counter, json::Finder},
};
use sandboxd_egress_plan::Tokens;

fn counted(reply: &Reply, format: Format, bytes: &[u8], size: usize) -> (String, Tokens, bool) {
    let mut counter = Counter::new(format, reply);
    for piece in bytes.chunks(size) {
        let end = counter.push(piece);
        assert!(end.is_none_or(|end| end <= piece.len()));
    }
    let (tokens, estimated) = counter.total(false, 0);
    (counter.model().to_owned(), tokens, estimated)
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for events in [false, true] {
        for format in [Format::OpenAi, Format::Anthropic] {
            let reply = Reply {
                status: 200,
                ends: Ends::AtClose,
                close: true,
                plain: true,
                whole: true,
                events,
            };
            let whole = counted(&reply, format, bytes, bytes.len().max(1));
            assert_eq!(counted(&reply, format, bytes, 1), whole);
            if !bytes.contains(&b'u') {
                let bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                assert!(whole.1.all() <= bytes, "{whole:?}");
            }
        }
    }
    let (mut finder, mut values) = (Finder::default(), 0);
    let read = finder.push(bytes, &mut |_, _| values += 1);
    // What the broker's reader takes is JSON here too.
    if sandboxd_broker::json::parse(bytes).is_ok() {
        assert!(read.is_ok() && finder.push(b" ", &mut |_, _| {}).is_ok());
        // Nothing follows the only value.
        assert!(finder.push(b"0", &mut |_, _| {}).is_err());
    }
    let asked = Ask::default().push(bytes);
    assert!(read.is_ok() || asked.is_err());
});
