//! A connection from its acceptance to its record.

use super::{
    accept, client::Client, original, proxy, story::Story, stream::Tcp, tunnel, world::World,
};
use crate::rule::Fitting;
use sandboxd_egress_plan::{Verdict, record::Way};
use std::{convert::Infallible, io, rc::Rc};
use tokio::{
    net::{TcpListener, TcpStream},
    task::spawn_local,
};

/// Accepts for as long as that can be done.
pub(super) async fn connections(
    listener: TcpListener,
    world: Rc<World>,
    way: Way,
) -> io::Result<Infallible> {
    loop {
        let stream = accept::connection(&listener).await?;
        drop(spawn_local(connection(Rc::clone(&world), stream, way)));
    }
}

/// Tells how a connection ended, when it is let go of: at its end, or with the process.
struct Told {
    world: Rc<World>,
    story: Story,
    verdict: Verdict,
}

impl Drop for Told {
    fn drop(&mut self) {
        self.world.tell(self.story.record(self.verdict));
    }
}

async fn connection(world: Rc<World>, stream: TcpStream, way: Way) {
    let mut told = Told { world, story: Story::new(way), verdict: Verdict::Ended };
    let Told { world, story, .. } = &mut told;
    let mut client = Client::new(Tcp::new(stream));
    let ended = match way {
        Way::Proxy => proxy::serve(world, story, &mut client).await,
        Way::Transparent | Way::Dns => transparent(world, story, &mut client).await,
    };
    told.verdict = ended.err().unwrap_or(Verdict::Carried);
    drop(told);
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
