//! What happens to a connection once it is known whom it is for and how it begins.

use super::{
    client::{Begins, Client, until},
    dial::{Upstream, dial, may},
    ended,
    fault::{alert, refusal},
    meter::Meter,
    requests, splice,
    story::Story,
    stream::{Stream as _, cut},
    world::{Open, World},
};
use crate::{
    http,
    limit::Direction,
    rule::{Fitting, Tls},
};
use sandboxd_egress_plan::Verdict;
use std::{cell::Cell, rc::Rc};

/// How a client begins, where some rule has it. Who speaks HTTP is told in HTTP that it does so badly.
pub(super) async fn begins(
    world: &World,
    client: &mut Client,
    fitting: &Fitting,
) -> Result<Begins, Verdict> {
    let begins = client.begins(until(world.plan.waits.head), fitting).await;
    if matches!(begins, Err(Verdict::Malformed)) && http::begins(&client.buffer) {
        client.answer(&refusal(Verdict::Malformed, None)).await?;
    }
    begins
}

/// Carries what begins so, where a rule has it; on the connection that was made already, where one was.
pub(super) async fn judged(
    world: &Rc<World>,
    story: &mut Story,
    client: &mut Client,
    (fitting, begins): (&Fitting, Begins),
    made: Option<(Open, Upstream)>,
) -> Result<(), Verdict> {
    let place = story.place.clone().ok_or(Verdict::Broke)?;
    let hello = match begins {
        Begins::Tls(hello) => hello,
        Begins::Request(head) => {
            return requests::carry(world, story, client, (fitting, head), made).await;
        }
    };
    let begun = match fitting.tls(&hello, &place.whom) {
        // Elsewhere, since all connections would have the room for it otherwise.
        Ok(Tls::Ended) => {
            return Box::pin(ended::carry(world, story, client, fitting, made)).await;
        }
        Ok(Tls::Carried(rule)) => begin(world, story, rule, made).await,
        Err(verdict) => Err(verdict),
    };
    match begun {
        Ok(begun) => carry(world, story, client, begun).await,
        Err(verdict) => {
            client.answer(&alert(verdict)).await?;
            Err(verdict)
        }
    }
}

/// A connection under this rule; the one that was made already where that may be, which was made under
/// any rule that fits.
pub(super) async fn begin(
    world: &Rc<World>,
    story: &mut Story,
    rule: usize,
    made: Option<(Open, Upstream)>,
) -> Result<(Open, Upstream), Verdict> {
    story.rule.set(Some(rule));
    let Some((open, upstream)) = made else {
        let place = story.place.clone().ok_or(Verdict::Broke)?;
        let open = world.open(rule)?;
        return Ok((open, dial(world, story, &place, &[rule]).await?));
    };
    if !may(world, world.rule(rule)?, upstream.address) {
        return Err(Verdict::PrivateAddress);
    }
    if open.rule() != rule {
        open.pass(rule)?;
    }
    Ok((open, upstream))
}

/// Carries bytes both ways, whatever they are.
pub(super) async fn carry(
    world: &Rc<World>,
    story: &mut Story,
    client: &mut Client,
    (open, upstream): (Open, Upstream),
) -> Result<(), Verdict> {
    story.rule.set(Some(open.rule()));
    let meter = Meter::new(world, story);
    let first = std::mem::take(&mut client.buffer);
    let one_ended = Cell::new(false);
    let both = (&meter, &one_ended);
    let carried = async {
        meter.spend(Direction::Up, first.len())?;
        let up = async {
            upstream.stream.write(&first).await?;
            drop(first);
            splice::one_way(&client.stream, &upstream.stream, both, Direction::Up).await
        };
        let down = splice::one_way(&upstream.stream, &client.stream, both, Direction::Down);
        tokio::try_join!(up, down)
    };
    let ended = meter.within(carried).await;
    if ended.is_err() {
        // Neither may take what it has for the whole.
        cut(&upstream.stream);
    }
    ended.map(|_| ())
}
