//! What the graph says of a profile's files is what the plan of its sandbox lets be done with them.

use crate::support::*;
use proptest::prelude::*;
use sandboxd_plan::{HostPath, JailPath, Mount, Root, RootOp};
use sandboxd_profiles::graph::{self, Direction, Target};
use sandboxd_profiles::host::{FileKind, PathFact};
use sandboxd_profiles::resolved::Resolved;
use sandboxd_profiles::{Document, Folders, Graph, HostFacts, Problem};

const ACCESS: [&str; 3] = ["read", "write", "execute"];

/// Folders of few names, some the beginning of another, to a depth.
fn places(depth: usize) -> Vec<String> {
    let mut all = vec![String::from("/t"), String::from("/o")];
    let mut last = all.clone();
    for _ in 1..depth {
        let deeper = last.iter().flat_map(|at| ["a", "ab"].map(|name| format!("{at}/{name}")));
        last = deeper.collect();
        all.extend(last.iter().cloned());
    }
    all
}

/// A host that has them all.
fn host() -> HostFacts {
    let folder = |at: &String| (path(at), PathFact::Found(found(at, FileKind::Directory, 0)));
    let paths = places(4).iter().map(folder).collect();
    HostFacts { paths, ..typical() }
}

fn graph_of(text: &str) -> Result<Graph, Vec<Problem>> {
    let document = Document { name: "a.toml".into(), folder: Some(path("/p")), text: text.into() };
    graph::load(vec![document], &Folders::default(), &mut |path| Err(format!("no {path}")))
}

/// Whether a path may be read, written and executed, as the graph says.
fn told(graph: &Graph, at: &str) -> [bool; 3] {
    let answer = graph.ways("a", &Target::Path(path(at))).unwrap();
    ACCESS.map(|right| {
        let part = format!("{right} ");
        answer.ways.iter().any(|way| {
            way.may.iter().any(|may| may == right)
                && !way.parts.iter().any(|one| one.starts_with(&part))
        })
    })
}

/// What covers places, in the order in which it is mounted: a tree of the host's, or nothing.
fn mounts(resolved: &Resolved) -> Vec<(&JailPath, Option<(&HostPath, Mount)>)> {
    let Root::Own { ops, .. } = &resolved.plan.root else { panic!("no view") };
    let mounts = ops.iter().filter_map(|op| {
        if let RootOp::Bind { from, to, mount, .. } = op {
            return Some((to, Some((from, *mount))));
        }
        if let RootOp::Hide { path, .. } = op { Some((path, None)) } else { None }
    });
    mounts.collect()
}

/// The same, by the mounts at every place that shows it.
fn enforced(resolved: &Resolved, at: &str) -> [bool; 3] {
    let mounts = mounts(resolved);
    let mut may = [false; 3];
    for (to, shown) in &mounts {
        let Some((from, mount)) = shown else { continue };
        let Some(below) = path(at).below(from).map(str::to_owned) else { continue };
        let place = if below.is_empty() { (*to).clone() } else { to.join(&below).unwrap() };
        let around = mounts.iter().rev().filter(|(to, _)| place.is_within(to));
        let innermost = around.max_by_key(|(to, _)| to.as_str().len());
        if innermost.is_some_and(|(on_top, _)| on_top == to) {
            may = [true, may[1] || !mount.read_only, may[2] || !mount.no_exec];
        }
    }
    may
}

/// A profile of these entries.
fn profile(
    grants: &[(usize, String)],
    binds: &[(String, String, usize)],
    hide: &[String],
) -> String {
    let mut text =
        String::from("name = \"a\"\nserve.tools = [\"*\"]\nfiles.execute = [\"/usr\"]\n");
    for (number, access) in ACCESS.iter().enumerate().take(2) {
        text += &format!("files.{access} = {:?}\n", of(grants, number));
    }
    text = text.replace("[\"/usr\"]", &format!("{:?}", [vec!["/usr"], of(grants, 2)].concat()));
    let binds = binds.iter().map(|(from, to, access)| {
        format!("{{ from = {from:?}, to = {to:?}, access = {:?} }}", ACCESS[*access])
    });
    text += &format!("files.bind = [{}]\n", binds.collect::<Vec<_>>().join(", "));
    text + &format!("files.hide = {hide:?}\n")
}

fn of(grants: &[(usize, String)], number: usize) -> Vec<&str> {
    let those = grants.iter().filter(|(access, _)| *access == number);
    those.map(|(_, path)| path.as_str()).collect()
}

proptest! {
    #[test]
    fn the_graph_says_of_files_what_the_view_lets_be_done(
        grants in prop::collection::vec((0..3usize, prop::sample::select(places(3))), 1..6),
        binds in prop::collection::vec(
            (prop::sample::select(places(3)), prop::sample::select(places(3)), 0..3usize), 0..3
        ),
        hide in prop::collection::vec(prop::sample::select(places(3)), 0..2),
    ) {
        let text = profile(&grants, &binds, &hide);
        let graph = graph_of(&text).map_err(|problems| TestCaseError::fail(shown(&problems)))?;
        // What is at one place twice, or hidden and granted, is refused.
        if let Ok(resolved) = on(&text, host()) {
            for at in places(4) {
                prop_assert_eq!(told(&graph, &at), enforced(&resolved, &at), "{} of\n{}", at, text);
            }
        }
    }
}

/// What changed from one `[files]` to another.
fn changes(old: &str, new: &str) -> Vec<String> {
    let [old, new] = [old, new].map(|files| {
        let text = format!("name = \"a\"\nserve.tools = [\"*\"]\n{files}");
        graph_of(&text).unwrap_or_else(|problems| panic!("{}", shown(&problems)))
    });
    let word = |change: &graph::Change| {
        let sign = if change.direction == Direction::Widened { "+" } else { "-" };
        format!("{sign} {}", change.what)
    };
    old.changes(&new).iter().map(word).collect()
}

#[test]
fn what_an_entry_takes_away_from_another_is_among_what_widens() {
    let both = "files.write = [\"/t\"]\nfiles.execute = [\"/t/x\"]";
    assert_eq!(changes(both, "files.write = [\"/t\"]"), ["+ write /t/x", "- execute /t/x"]);
    let union = "files.write = [\"/t\", \"/t/x\"]\nfiles.execute = [\"/t/x\"]";
    assert_eq!(changes(both, union), ["+ write /t/x"]);
    let written = "files.execute = [\"/t\"]\nfiles.write = [\"/t/x\"]";
    let executed = "files.execute = [\"/t\", \"/t/x\"]\nfiles.write = [\"/t/x\"]";
    assert_eq!(changes(written, executed), ["+ execute /t/x"]);
    let over = "files.read = [\"/t\"]\nfiles.bind = [{ from = \"/o\", to = \"/t/x\" }]";
    assert_eq!(changes(over, "files.read = [\"/t\", \"/o\"]"), ["+ read /t/x"]);
    assert_eq!(changes("files.read = [\"/t\", \"/o\"]", over), ["- read /t/x"]);
}

#[test]
fn what_a_bind_shadows_for_its_profile_is_given_to_those_it_calls() {
    let caller = |files: &str| {
        format!(
            "name = \"a\"\nfiles.execute = [\"/usr\"]\n{files}\n[call.fs]\nprofile = \"fs.toml\"\ntools = [\"x\"]"
        )
    };
    let tool = "name = \"fs\"\ncommand.exec = [\"/usr/bin/fs\"]\nfiles.execute = [\"/usr\"]\n\
        files.write = [\"/t\"]\nserve.tools = [\"*\"]";
    let graph = |files: &str| {
        let document = |name: &str, text: String| Document {
            name: name.into(),
            folder: Some(path("/p")),
            text,
        };
        let mut read = |_: &HostPath| Ok(document("fs.toml", tool.to_owned()));
        let first = document("a.toml", caller(files));
        graph::load(vec![first], &Folders::default(), &mut read)
            .unwrap_or_else(|problems| panic!("{}", shown(&problems)))
    };
    let over = graph("files.read = [\"/t\"]\nfiles.bind = [{ from = \"/o\", to = \"/t/x\" }]");
    let ways = over.ways("a", &Target::Path(path("/t/x"))).unwrap().ways;
    let chains: Vec<usize> = ways.iter().map(|way| way.calls.len()).collect();
    assert_eq!(chains, [1], "not itself, but through fs: {ways:?}");
    // A bind of a part gives no more of it than it says to those that are called, and takes nothing here.
    let part = "files.write = [\"/t\"]\nfiles.bind = [{ from = \"/t/x\", to = \"/y\" }]";
    let told: Vec<_> = graph(part).changes(&graph("files.write = [\"/t\"]"));
    let told: Vec<_> = told.iter().map(|one| (one.direction, one.what.as_str())).collect();
    assert_eq!(told, [(Direction::Widened, "granted to its callees: write /t/x")]);
}
