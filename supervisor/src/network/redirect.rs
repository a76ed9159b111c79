//! Every TCP connection is led to one port of the loopback interface, but those that are for the
//! loopback interface itself. As nft has it:
//!
//! ```text
//! table inet sandboxd { chain out { type nat hook output priority -100;
//!     ip daddr 127.0.0.0/8 accept
//!     ip6 daddr ::1 accept
//!     meta l4proto tcp redirect to :PORT } }
//! ```

use super::message::{ACK, APPEND, Body, CREATE, EXCLUSIVE, Messages};
use super::{V4, V6};
use rustix::io::Errno;
use rustix::net::netlink;
use std::net::Ipv6Addr;

/// `NFNL_SUBSYS_NFTABLES`, before the number of a message.
const TABLES: u16 = 10 << 8;
const NEW_TABLE: u16 = TABLES;
const NEW_CHAIN: u16 = TABLES | 3;
const NEW_RULE: u16 = TABLES | 6;
/// `NFNL_MSG_BATCH_BEGIN` and its end: all of it happens, or nothing.
const BEGIN: u16 = 0x10;
const END: u16 = 0x11;
/// struct nfgenmsg of a batch: no family, version, and whose batch it is.
const BATCH: [u8; 4] = [0, 0, 0, 10];
/// struct nfgenmsg of the rest: `NFPROTO_INET`.
const INET: [u8; 4] = [1, 0, 0, 0];

const TABLE: &str = "sandboxd";
const CHAIN: &str = "out";
/// `NF_INET_LOCAL_OUT`.
const HOOK: u32 = 3;
/// `NF_IP_PRI_NAT_DST`, -100.
const PRIORITY: u32 = (-100_i32).cast_unsigned();
/// `NF_ACCEPT`, and `NFT_REG_VERDICT`.
const ACCEPT: u32 = 1;
const VERDICT: u32 = 0;
/// `NFT_REG_1`.
const REGISTER: u32 = 1;
/// `NFT_META_NFPROTO` and `NFT_META_L4PROTO`.
const FAMILY: u32 = 15;
const TRANSPORT: u32 = 16;
/// `IPPROTO_TCP`.
const TCP: u8 = 6;

/// Leads them there.
pub(super) fn all_to(port: u16) -> Result<(), Errno> {
    let mut messages = Messages::default();
    messages.push(BEGIN, 0, &Body::new(&BATCH));
    let table = Body::new(&INET).text(1, TABLE);
    messages.push(NEW_TABLE, ACK | CREATE | EXCLUSIVE, &table);
    let hook = Body::default().number(1, HOOK).number(2, PRIORITY);
    let chain = Body::new(&INET).text(1, TABLE).text(3, CHAIN).nest(4, hook).number(5, ACCEPT);
    messages.push(NEW_CHAIN, ACK | CREATE | EXCLUSIVE, &chain.text(7, "nat"));
    let v4 = [meta(FAMILY), equal(&[V4]), destination(16, 1), equal(&[127]), accept()];
    let loopback = Ipv6Addr::LOCALHOST.octets();
    let v6 = [meta(FAMILY), equal(&[V6]), destination(24, 16), equal(&loopback), accept()];
    let rest = [meta(TRANSPORT), equal(&[TCP]), load(port), redirect()];
    for expressions in [Vec::from(v4), Vec::from(v6), Vec::from(rest)] {
        messages.push(NEW_RULE, ACK | CREATE | APPEND, &rule(expressions));
    }
    messages.push(END, 0, &Body::new(&BATCH));
    messages.send(Some(netlink::NETFILTER))
}

fn rule(expressions: Vec<Body>) -> Body {
    let list = expressions.into_iter().fold(Body::default(), |list, one| list.nest(1, one));
    Body::new(&INET).text(1, TABLE).text(2, CHAIN).nest(4, list)
}

fn expression(name: &str, data: Body) -> Body {
    Body::default().text(1, name).nest(2, data)
}

/// Loads what is known of a packet.
fn meta(key: u32) -> Body {
    expression("meta", Body::default().number(1, REGISTER).number(2, key))
}

/// Loads bytes of its destination, so far from where the network's header begins.
fn destination(offset: u32, length: u32) -> Body {
    const NETWORK: u32 = 1;
    let from = Body::default().number(1, REGISTER).number(2, NETWORK);
    expression("payload", from.number(3, offset).number(4, length))
}

/// Goes on where what was loaded is this.
fn equal(value: &[u8]) -> Body {
    const EQUAL: u32 = 0;
    let data = Body::default().with(1, value);
    expression("cmp", Body::default().number(1, REGISTER).number(2, EQUAL).nest(3, data))
}

/// Loads a port.
fn load(port: u16) -> Body {
    let data = Body::default().with(1, &port.to_be_bytes());
    expression("immediate", Body::default().number(1, REGISTER).nest(2, data))
}

fn accept() -> Body {
    let verdict = Body::default().nest(2, Body::default().number(1, ACCEPT));
    expression("immediate", Body::default().number(1, VERDICT).nest(2, verdict))
}

/// To the loopback address of its family, at the port that was loaded.
fn redirect() -> Body {
    expression("redir", Body::default().number(1, REGISTER))
}
