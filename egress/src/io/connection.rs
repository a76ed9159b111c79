//! A connection from its acceptance to its record.

use super::{client::Client, original, proxy, story::Story, tunnel, world::World};
use crate::rule::Fitting;
use sandboxd_egress_plan::{Verdict, record::Way};
use std::{rc::Rc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    task::spawn_local,
};

/// How long nothing is accepted after that failed: there are no descriptors left, and some must be
/// given back first.
const PAUSE: Duration = Duration::from_millis(50);

/// Accepts for as long as there is a listener.
pub(super) async fn accept(listener: TcpListener, world: Rc<World>, way: Way) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(spawn_local(connection(Rc::clone(&world), stream, way))),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn connection(world: Rc<World>, stream: TcpStream, way: Way) {
    let mut story = Story::new(way);
    // Without it, what is carried in small pieces waits for each of them to be acknowledged.
    stream.set_nodelay(true).ok();
    let mut client = Client::new(stream);
    let ended = match way {
        Way::Proxy => proxy::serve(&world, &mut story, &mut client).await,
        Way::Transparent | Way::Dns => transparent(&world, &mut story, &mut client).await,
    };
    world.tell(story.record(ended.err().unwrap_or(Verdict::Carried)));
    if ended.is_err() || client.answered {
        client.leave().await;
    }
}

/// One that was led here: whom it is for, whether a rule has that, what is said, and only then out.
async fn transparent(
    world: &Rc<World>,
    story: &mut Story,
    client: &mut Client,
) -> Result<(), Verdict> {
    let pending = world.pend()?;
    let destination = original::destination(&client.stream)?;
    let place = original::place(destination, &world.names());
    // A place that stands for no name is told by its address.
    story.address = Some(destination.ip());
    let place = place?;
    story.address = None;
    let fitting = Fitting::find(&world.plan.rules, story.place.insert(place))?;
    let Some(rule) = fitting.tcp else {
        let begins = tunnel::begins(world, client, &fitting).await?;
        drop(pending);
        return tunnel::judged(world, story, client, (&fitting, begins), None).await;
    };
    drop(pending);
    let begun = tunnel::begin(world, story, rule, None).await?;
    tunnel::carry(world, story, client, begun).await
}
