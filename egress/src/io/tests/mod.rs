//! The whole way, over real sockets of the host's loopback.
//!
//! An upstream listens on 127.0.0.1 and is `host.internal` inside; what is led here arrives at an
//! address of 127.18.0.0/16, which is the range of names, with the same port.

mod carried;
mod counted;
mod ended;
mod kept;
mod led;
mod limited;
mod proxied;
mod world;
