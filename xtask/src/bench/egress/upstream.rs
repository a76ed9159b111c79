//! Who is connected to, on whatever way: says a byte back, and for a `D` as many as are wanted.

use anyhow::Result;
use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::Arc,
    thread,
};

/// Threads that are there already, so that the start of one is not measured: more than there are connections at a
/// time.
const READY: usize = 256;

/// Its port.
pub(super) fn start(bytes: usize) -> Result<u16> {
    let listener = Arc::new(TcpListener::bind("127.0.0.1:0")?);
    let port = listener.local_addr()?.port();
    for _ in 0..READY {
        let listener = Arc::clone(&listener);
        thread::spawn(move || listener.incoming().flatten().for_each(|one| serve(one, bytes)));
    }
    Ok(port)
}

fn serve(mut stream: TcpStream, bytes: usize) {
    let mut byte = [0];
    // Whoever goes is gone.
    stream.set_nodelay(true).ok();
    while stream.read_exact(&mut byte).is_ok() {
        let said = if byte == *b"D" {
            let piece = vec![0; 256 << 10];
            (0..bytes / piece.len()).try_for_each(|_| stream.write_all(&piece))
        } else {
            stream.write_all(&byte)
        };
        if said.is_err() {
            return;
        }
    }
}
