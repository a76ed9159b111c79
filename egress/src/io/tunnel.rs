//! What happens to a connection once it is known whom it is for and how it begins.

use super::{
    client::{Begins, Client, cut},
    dial::{Upstream, dial},
    meter::Meter,
    requests, splice,
    story::Story,
    world::{Open, World},
};
use crate::{address, limit::Direction, rule::Fitting};
use sandboxd_egress_plan::Verdict;
use std::rc::Rc;

/// Carries what begins so, where a rule has it; to this upstream, where it is connected to already.
pub(super) async fn judged(
    world: &Rc<World>,
    story: &mut Story,
    client: &mut Client,
    (fitting, begins): (&Fitting, Begins),
    upstream: Option<Upstream>,
) -> Result<(), Verdict> {
    let place = story.place.clone().ok_or(Verdict::Broke)?;
    match begins {
        Begins::Tls(hello) => {
            let rule = fitting.tls(&hello, &place.whom)?;
            story.rule.set(Some(rule));
            let open = world.open(rule)?;
            let upstream = match upstream {
                // It was connected to under any of the rules.
                Some(upstream) if address::allows(world.rule(rule)?, upstream.address) => upstream,
                Some(_) => return Err(Verdict::PrivateAddress),
                None => dial(world, story, &place, &[rule]).await?,
            };
            carry(world, story, client, (open, upstream)).await
        }
        Begins::Request(head) => {
            requests::carry(world, story, client, (fitting, head), upstream).await
        }
    }
}

/// Carries bytes both ways, whatever they are.
pub(super) async fn carry(
    world: &Rc<World>,
    story: &mut Story,
    client: &mut Client,
    (open, upstream): (Open, Upstream),
) -> Result<(), Verdict> {
    let deadlines = world.rule(open.rule)?.deadlines;
    story.rule.set(Some(open.rule));
    let meter = Meter::new(world, story, deadlines);
    let first = std::mem::take(&mut client.buffer);
    let carried = async {
        meter.spend(Direction::Up, first.len())?;
        let up = async {
            super::client::write(&upstream.stream, &first).await?;
            drop(first);
            splice::one_way(&client.stream, &upstream.stream, &meter, Direction::Up).await
        };
        let down = splice::one_way(&upstream.stream, &client.stream, &meter, Direction::Down);
        tokio::try_join!(up, down)
    };
    let ended = meter.within(carried).await;
    if ended.is_err() {
        // Neither may take what it has for the whole.
        cut(&upstream.stream);
    }
    ended.map(|_| ())
}
