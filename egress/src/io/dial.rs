//! To an upstream: where its name leads is asked once, looked at, and connected to.

use super::{
    connect::connect,
    resolve::resolve,
    story::Story,
    stream::Tcp,
    world::{World, now},
};
use crate::{
    address,
    rule::{Place, Whom},
};
use sandboxd_egress_plan::{HOST_INTERNAL, Rule, Verdict};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

/// The most addresses of a name that are tried.
const TRIES: usize = 4;

/// A connection outside.
#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) stream: Tcp,
    pub(super) address: IpAddr,
}

/// Connects under one of these rules.
pub(super) async fn dial(
    world: &World,
    story: &mut Story,
    place: &Place,
    rules: &[usize],
) -> Result<Upstream, Verdict> {
    world.fuses().admit(place, now()?)?;
    let addresses = match allowed(world, story, place, rules).await {
        Ok(addresses) => addresses,
        Err(verdict) => {
            world.fuses().withdraw(place, now()?);
            return Err(verdict);
        }
    };
    let upstream = first(world, place.port, &addresses).await;
    world.fuses().ended(place, upstream.is_some(), now()?);
    story.address =
        upstream.as_ref().map(|upstream| upstream.address).or(addresses.first().copied());
    upstream.ok_or(Verdict::Unreachable)
}

/// The addresses that may be connected to; where none of them may, the story has the first.
async fn allowed(
    world: &World,
    story: &mut Story,
    place: &Place,
    rules: &[usize],
) -> Result<Vec<IpAddr>, Verdict> {
    let addresses = match &place.whom {
        Whom::Address(address) => vec![*address],
        Whom::Name(name) if name.as_str() == HOST_INTERNAL => {
            vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
        }
        Whom::Name(name) => resolve(&world.plan.resolver, name).await?,
    };
    let rules: Vec<&Rule> = rules.iter().filter_map(|rule| world.plan.rules.get(*rule)).collect();
    let any = |address: &IpAddr| rules.iter().any(|rule| may(world, rule, *address));
    let led = addresses.first().copied();
    let allowed: Vec<IpAddr> = addresses.into_iter().filter(any).take(TRIES).collect();
    if allowed.is_empty() {
        story.address = led;
        return Err(Verdict::PrivateAddress);
    }
    Ok(allowed)
}

/// Whether a connection to this address may be had under this rule: one that is made, or was under another.
pub(super) fn may(world: &World, rule: &Rule, address: IpAddr) -> bool {
    address::allows(rule, address) && (address::means(rule, address) || !world.host.is_own(address))
}

async fn first(world: &World, port: u16, addresses: &[IpAddr]) -> Option<Upstream> {
    let wait = Duration::from_millis(world.plan.waits.connect.0);
    for address in addresses {
        if let Ok(stream) = connect(SocketAddr::new(*address, port), wait).await {
            return Some(Upstream { stream: Tcp::new(stream), address: *address });
        }
    }
    None
}
