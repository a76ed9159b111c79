//! What one profile says of its own sandbox and of whoever calls it, beside its files and its network.

use super::{Narrowed, Told, Widened, number, of_list};
use crate::Profile;
use crate::graph::patterns::beyond;
use crate::graph::plan::callee;
use crate::graph::{Graph, Node};
use crate::meet::words::severity;
use crate::schema::{Instances, Isolation, Protect, Require, Serve};
use sandboxd_broker_plan::Bound;

impl Told {
    /// A profile.
    pub(super) fn profile(&mut self, (was, old): (&Graph, usize), (is, new): (&Graph, usize)) {
        let (before, after) = (was.node(old), is.node(new));
        self.authority("", &before.own, &after.own);
        let shadows = before.lent != before.own || after.lent != after.own;
        if shadows && is.from(new).any(|edge| edge.call.grant.is_none()) {
            self.authority("granted to its callees: ", &before.lent, &after.lent);
        }
        self.layers(&before.profile, &after.profile);
        self.budget(&after.name, &before.profile, &after.profile);
        match (&before.profile.serve, &after.profile.serve) {
            (None, None) => {}
            (None, Some(_)) => self.tell(Widened, "serves others".to_owned()),
            (Some(_), None) => self.tell(Narrowed, "serves others".to_owned()),
            (Some(old), Some(new)) => self.serve((before, old), (after, new)),
        }
    }

    /// What keeps it apart from its host, what stays read-only, and what the host may lack.
    fn layers(&mut self, old: &Profile, new: &Profile) {
        let bare = |profile: &Profile| profile.isolation() == Isolation::Landlock;
        let word = |profile: &Profile| profile.isolation().name().to_owned();
        self.ordered("isolation", (&bare(old), word(old)), (&bare(new), word(new)));
        let loose = |profile: &Profile| std::cmp::Reverse(severity(profile));
        let word = |profile: &Profile| {
            let written = profile.files.protect.as_ref().map(|written| &written.value);
            written.map_or("default", Protect::name).to_owned()
        };
        self.ordered("files.protect", (&loose(old), word(old)), (&loose(new), word(new)));
        let waived = |key: &str| [old, new].map(|one| one.require.waives(key).is_some());
        for key in Require::names() {
            let [before, after] = waived(&key);
            let whole = key.split_once('.').map(|(whole, _)| waived(whole));
            // A part of what changed as a whole is not told again.
            if whole != Some([before, after]) {
                let word = |waived| if waived { "if-available" } else { "always" }.to_owned();
                let key = format!("require.{key}");
                self.ordered(&key, (&before, word(before)), (&after, word(after)));
            }
        }
    }

    /// `[serve]`, whoever calls: an edge of the graph, or a client outside.
    fn serve(&mut self, (before, old): (&Node, &Serve), (after, new): (&Node, &Serve)) {
        let lists = |serve: &Serve| serve.reach.lists().map(|(key, list)| (key, of_list(list)));
        self.reach("serves ", &lists(old), &lists(new));
        let (asks, asked) = (of_list(&old.ask), of_list(&new.ask));
        for one in beyond(&asks, &asked) {
            self.tell(Widened, format!("no approval needed for tools: {one}"));
        }
        for one in beyond(&asked, &asks) {
            self.tell(Narrowed, format!("approval needed for tools: {one}"));
        }
        let told = |node: &Node| callee(&node.name, &node.profile, node.instances());
        let (was, is) = (told(before), told(after));
        let most = |bound| match bound {
            Bound::AtMost(most) => most,
            Bound::Unlimited => u64::MAX,
        };
        for (key, old, new) in [
            ("in_flight", most(was.in_flight), most(is.in_flight)),
            ("calls a day", was.rate.a_day(), is.rate.a_day()),
            ("calls at once", was.rate.at_once(), is.rate.at_once()),
        ] {
            self.ordered(&format!("serves {key}"), (&old, number(old)), (&new, number(new)));
        }
        self.call("client outside: ", &old.of_client(), &new.of_client());
        if was.speaks != is.speaks {
            self.tell(Widened, "serves another protocol".to_owned());
        }
        let lax = |serve: &Serve| !serve.durable.as_ref().is_some_and(|word| word.value);
        let (old, new) = (lax(old), lax(new));
        self.ordered("serves durable", (&old, (!old).to_string()), (&new, (!new).to_string()));
        let shared = |node: &Node| match node.instances() {
            Instances::PerCaller => 0,
            Instances::Serial => 1,
            Instances::Attenuate => 2,
            Instances::Own(_) => 3,
        };
        let word = |node: &Node| node.instances().name().to_owned();
        self.ordered("instances", (&shared(before), word(before)), (&shared(after), word(after)));
    }
}
