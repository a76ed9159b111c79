//! Files of `/proc`, proc(5).

use rustix::io::Errno;
use std::fs::File;
use std::io::Read as _;

/// As much as most of them have. Of a file that says nothing of its size little is read at a time otherwise.
const ROOM: usize = 16 << 10;

/// The text of one. Others give names in it (of mounts, by FUSE) that are no text: what is none is U+FFFD, and the rest
/// is as it was.
///
/// # Errors
/// Where it cannot be read.
pub(crate) fn read(path: &str) -> Result<String, Errno> {
    let mut bytes = Vec::with_capacity(ROOM);
    File::open(path)
        .and_then(|mut file| file.read_to_end(&mut bytes))
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
