//! The egress process alone, that lets out to one port of this machine: `proxy LISTEN UPSTREAM`, a proxy on a port
//! of the loopback, until its standard input ends. Connections to the same UPSTREAM of 127.18.0.1 are led to it.
//! For measuring (`cargo xtask bench egress`) and for looking at.
#![forbid(unsafe_code)]

mod served;

use sandboxd_egress::{
    Handed, Sockets,
    dns::ask::{Family, question},
    secret::Secrets,
    serve,
};
use sandboxd_egress_plan::{Carries, HOST_INTERNAL, HostName};
use std::{
    io::{Error, ErrorKind, Read as _, Result},
    net::{TcpListener, UdpSocket},
};

/// Where connections are led, as they are in a sandbox: the first address that a name is given.
const LED: &str = "127.18.0.1";

fn main() -> Result<()> {
    let wanted = || Error::new(ErrorKind::InvalidInput, "proxy LISTEN UPSTREAM, two ports");
    let ports: Vec<u16> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let [listen, upstream] = ports[..] else { return Err(wanted()) };
    // The first name that is asked for gets the first address. Nobody waits for the answer.
    let names = UdpSocket::bind("127.0.0.1:0")?;
    let host = HostName::try_from(HOST_INTERNAL).map_err(Error::other)?;
    UdpSocket::bind("127.0.0.1:0")?
        .send_to(&question(1, &host, Family::Four), names.local_addr()?)?;
    let transparent = TcpListener::bind((LED, upstream))?;
    let proxy = TcpListener::bind(("127.0.0.1", listen))?;
    let control = served::supervisor(|| {
        // Whatever it says.
        std::io::stdin().lock().read_to_end(&mut Vec::new()).ok();
    })?;
    serve(
        served::plan([(upstream, Carries::Tcp)])?,
        Sockets {
            transparent: vec![transparent.into()],
            proxy: vec![proxy.into()],
            dns_datagram: vec![names.into()],
            dns_stream: vec![],
            agent: vec![],
            control,
        },
        Handed { secrets: Secrets::default(), ends: None, renewals: None, lender: None },
    )
}
