//! HTTP/1: requests of a client, read strictly and written anew. What an upstream answers goes back as
//! it is, since it is for the client, who is trusted with nothing; where it is counted, it is read.

mod body;
mod head;
mod reply;
mod target;

pub use body::Body;
pub use head::{Framing, Head, head, is_same_field};
pub use reply::{Ends, Reply, reply};
pub use target::{Authority, Target};

/// The most bytes of a request's head.
pub const MOST: usize = 64 << 10;

/// The most fields of a head.
pub const FIELDS: usize = 256;

/// Whether these bytes, which are not empty, can be the beginning of a request.
#[must_use]
pub fn begins(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(u8::is_ascii_uppercase)
}

/// An answer of ours: a sentence for people, and the end of the connection.
#[must_use]
pub fn answer(status: &str, sentence: &str) -> Vec<u8> {
    let length = sentence.len() + 1;
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{sentence}\n"
    )
    .into_bytes()
}
