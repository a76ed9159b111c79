//! Lines of a stranger, as the broker takes them: whatever the bytes and wherever they are cut, an
//! answer; and what is a message is written so that it is read as the same message again.
#![no_main]

use sandboxd_broker::{
    frame::{Frame, Lines},
    json, rpc,
};

const MOST: usize = 4096;

fn frames<'b>(pieces: &[&'b [u8]]) -> Vec<Frame<'b>> {
    let mut lines = Lines::new(MOST);
    let mut found = Vec::new();
    for piece in pieces {
        let mut rest = *piece;
        while let Some((frame, after)) = lines.push(rest) {
            found.push(frame);
            rest = after;
        }
    }
    found
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let cut = bytes.first().map_or(0, |byte| usize::from(*byte)).min(bytes.len());
    let (head, tail) = bytes.split_at(cut);
    let whole = frames(&[bytes]);
    assert_eq!(whole, frames(&[head, tail]));
    for frame in whole {
        let Frame::Line(line) = frame else { continue };
        assert!(line.len() <= MOST);
        let Ok(value) = json::parse(&line) else { continue };
        let text = json::text(&value);
        assert!(!text.contains('\n'));
        assert_eq!(json::parse(text.as_bytes()).as_ref(), Ok(&value));
        let sorted = json::canonical(&value);
        let again = json::parse(sorted.as_bytes()).map(|value| json::canonical(&value));
        assert_eq!(again, Ok(sorted));
        if let Ok(message) = rpc::message(value.clone()) {
            assert_eq!(json::Value::Object(message.body), value);
        }
    }
});
