//! The proxy: a client says whom it wants before it says anything to them.

use super::{
    client::{Client, Unheard, until},
    dial::dial,
    fault::{refusal, reply},
    original, requests,
    story::Story,
    tunnel,
    world::{Pending, World},
};
use crate::{
    Read,
    http::{self, Head, Target},
    rule::{Fitting, Place, Whom},
    socks::{self, Reply},
};
use sandboxd_egress_plan::Verdict;
use std::{net::SocketAddr, rc::Rc};

const ESTABLISHED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

/// In which words a client is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Words {
    Http,
    Socks,
}

/// Serves a client of the proxy.
pub(super) async fn serve(
    world: &Rc<World>,
    story: &mut Story,
    client: &mut Client,
) -> Result<(), Verdict> {
    let pending = world.pend()?;
    let until = until(world.plan.waits.head);
    let ((), _) = client.find(until, |bytes| Ok::<_, Verdict>(first(bytes))).await?;
    if client.buffer.first() == Some(&socks::VERSION) {
        let place = asked_by_socks(client, until).await?;
        story.place = Some(place);
        return tunnel(world, story, client, (Words::Socks, pending)).await;
    }
    let (head, length) = match client.find(until, http::head).await {
        Ok(found) => found,
        Err(verdict) => {
            client.answer(&refusal(verdict, None)).await?;
            return Err(verdict);
        }
    };
    client.take(length);
    let Some(place) = place(&head) else {
        let what = "sandboxd: this is a proxy: name a host, http://host/path or CONNECT host:port";
        client.answer(&http::answer("400 Bad Request", what)).await?;
        return Err(Verdict::Malformed);
    };
    story.place = Some(place.clone());
    if head.target == Target::Tunnel {
        return tunnel(world, story, client, (Words::Http, pending)).await;
    }
    drop(pending);
    match Fitting::find(&world.plan.rules, &place) {
        Ok(fitting) => requests::carry(world, story, client, (&fitting, head), None).await,
        Err(verdict) => {
            client.answer(&refusal(verdict, Some(&place))).await?;
            Err(verdict)
        }
    }
}

/// Whether there is anything.
const fn first(bytes: &[u8]) -> Read<()> {
    if bytes.is_empty() { Read::More } else { Read::Done((), 0) }
}

/// Whom a request to the proxy is for.
fn place(head: &Head) -> Option<Place> {
    let authority = head.authority.as_ref().filter(|_| head.absolute)?;
    Some(Place { whom: authority.whom.clone(), port: authority.port.unwrap_or(80) })
}

/// Why SOCKS came to nothing.
enum Failed {
    Reply(Reply),
    Unheard(Verdict),
}

impl From<Unheard> for Failed {
    fn from(unheard: Unheard) -> Self {
        Self::Unheard(unheard.0)
    }
}

impl From<Reply> for Failed {
    fn from(reply: Reply) -> Self {
        Self::Reply(reply)
    }
}

/// Whom a client of SOCKS wants.
async fn asked_by_socks(
    client: &mut Client,
    until: tokio::time::Instant,
) -> Result<Place, Verdict> {
    let greeting = |bytes: &[u8]| socks::greeting(bytes).map_err(Failed::from);
    let welcome = match client.find(until, greeting).await {
        Ok((welcome, length)) => {
            client.take(length);
            welcome
        }
        Err(Failed::Reply(_)) => return Err(Verdict::Malformed),
        Err(Failed::Unheard(verdict)) => return Err(verdict),
    };
    client.answer(if welcome { &socks::WELCOME } else { &socks::UNWELCOME }).await?;
    if !welcome {
        return Err(Verdict::Malformed);
    }
    let request = |bytes: &[u8]| socks::request(bytes).map_err(Failed::from);
    match client.find(until, request).await {
        Ok((place, length)) => {
            client.take(length);
            Ok(place)
        }
        Err(Failed::Reply(reply)) => {
            client.answer(&reply.bytes()).await?;
            Err(Verdict::Malformed)
        }
        Err(Failed::Unheard(verdict)) => Err(verdict),
    }
}

/// The place that is meant: some clients ask for the name themselves, and give the proxy the address
/// that it has inside.
fn meant(world: &World, asked: Place) -> Result<Place, Verdict> {
    match asked.whom {
        Whom::Name(_) => Ok(asked),
        Whom::Address(address) => {
            original::place(SocketAddr::new(address, asked.port), &world.names())
        }
    }
}

/// A tunnel to the place that the client named. It is connected to before the client hears that it is,
/// so that it hears why where it is not; what it says then is judged as elsewhere.
async fn tunnel(
    world: &Rc<World>,
    story: &mut Story,
    client: &mut Client,
    (words, pending): (Words, Pending),
) -> Result<(), Verdict> {
    let asked = story.place.clone().ok_or(Verdict::Broke)?;
    let begun = async {
        let place = meant(world, asked.clone())?;
        story.place = Some(place.clone());
        let fitting = Fitting::find(&world.plan.rules, &place)?;
        // Where it must be heard first what it begins with, the first that fits bears it until then.
        let rules: Vec<usize> = match fitting.tcp {
            Some(rule) => vec![rule],
            None => fitting.all().collect(),
        };
        let open = world.open(*rules.first().ok_or(Verdict::NoRule)?)?;
        story.rule.set(fitting.tcp);
        let upstream = dial(world, story, &place, &rules).await?;
        Ok((fitting, open, upstream))
    };
    let (fitting, open, upstream) = match begun.await {
        Ok(begun) => begun,
        Err(verdict) => {
            match words {
                Words::Http => client.answer(&refusal(verdict, Some(&asked))).await?,
                Words::Socks => client.answer(&reply(verdict).bytes()).await?,
            }
            return Err(verdict);
        }
    };
    match words {
        Words::Http => client.answer(ESTABLISHED).await?,
        Words::Socks => client.answer(&Reply::Connected.bytes()).await?,
    }
    // From here on, what it is answered comes from somebody else.
    client.answered = false;
    if fitting.tcp.is_some() {
        drop(pending);
        return tunnel::carry(world, story, client, (open, upstream)).await;
    }
    let begins = tunnel::begins(world, client, &fitting).await?;
    drop(pending);
    tunnel::judged(world, story, client, (&fitting, begins), Some((open, upstream))).await
}
