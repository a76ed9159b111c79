//! Where what is at a place comes from, in words, and the lines that say so.

use super::access::Access;
use super::answer::{Answer, Line};
use super::view::{By, View, What};
use crate::origin::Origin;
use crate::resolve::{Area, Sources};
use crate::schema;
use sandboxd_plan::{JailPath, Root};

/// The name of this layer.
pub(super) const VIEW: &str = "mount-view";

/// What is shown at a path, and by which lines.
pub(super) fn shown(
    view: &View<'_>,
    sources: &Sources,
    path: &JailPath,
    access: Access,
) -> (String, Vec<Line>) {
    let there = view.around(path);
    let to = &there.to;
    let own = sources.layers.len().saturating_sub(1);
    match (there.by, &there.what) {
        (By::Hidden, _) => {
            let hole = sources.holes.iter().find(|(hole, _)| hole == to);
            let what = match hole {
                Some(_) => format!("{to} is hidden"),
                None if to.as_str().starts_with("/proc/") => {
                    format!("{to} exposes details of the machine, and is covered in every sandbox")
                }
                None => {
                    format!("{to} is a socket that a process outside listens on, and is covered")
                }
            };
            (what, hole.iter().map(|(_, origin)| Line::from(origin)).collect())
        }
        (By::Held, What::Host { .. }) => {
            let what = format!("{to} is protected: the host may later execute or trust it");
            (what, sources.protect.iter().map(Line::from).collect())
        }
        (_, What::Host { from, .. }) if matches!(view.resolved.plan.root, Root::Host) => {
            let lines = written(view, sources, (own, path), access);
            (format!("{from} is the host's own: there is no other root"), lines)
        }
        (_, What::Host { from, .. }) => {
            let lines = written(view, sources, (own, path), access);
            let what = if from.as_str() == to.as_str() {
                format!("{to} of the host is shown")
            } else {
                format!("{from} of the host is shown at {to}")
            };
            (what, lines)
        }
        (_, What::Proc) => {
            (String::from("/proc shows only the sandbox's own processes"), Vec::new())
        }
        (_, What::Terminals) => {
            (String::from("/dev/pts has the sandbox's own terminals"), Vec::new())
        }
        (_, What::Own { .. } | What::Nothing(_)) if to.as_str() == "/" => {
            (format!("{path} is created by sandboxd, in the sandbox's own root"), Vec::new())
        }
        (_, What::Own { .. } | What::Nothing(_)) if to.as_str() == "/dev" => {
            (String::from("/dev is created by sandboxd"), Vec::new())
        }
        (_, What::Own { .. } | What::Nothing(_)) => {
            (format!("{to} is the sandbox's own, and initially empty"), Vec::new())
        }
    }
}

/// Why nothing is at a path.
pub(super) fn nothing(
    view: &View<'_>,
    sources: &Sources,
    path: &JailPath,
    access: Access,
) -> (String, Vec<Line>) {
    let there = view.around(path);
    match (&there.what, view.host(path)) {
        (_, Some(host)) => {
            let (_, lines) = shown(view, sources, path, access);
            (format!("there is no {host} on the host"), lines)
        }
        (What::Own { .. }, _) if matches!(there.to.as_str(), "/" | "/dev") => {
            (format!("nothing is shown at {path}: no line of [files] names it"), Vec::new())
        }
        (What::Own { .. }, _) => {
            let what = format!(
                "there is no {path}: {} is the sandbox's own, and initially empty",
                there.to
            );
            (what, Vec::new())
        }
        _ => (format!("there is no {path}"), Vec::new()),
    }
}

/// Whether something empty lies over it.
pub(super) fn is_covered(view: &View<'_>, path: &JailPath) -> bool {
    view.around(path).by == By::Hidden
}

/// The entries by which a layer gives what it gives at a path: those that say what is asked for, of the
/// innermost tree that has such; all of the innermost where none does.
pub(super) fn written(
    view: &View<'_>,
    sources: &Sources,
    (layer, path): (usize, &JailPath),
    access: Access,
) -> Vec<Line> {
    let Some(whose) = sources.layers.get(layer) else {
        return Vec::new();
    };
    let own = layer + 1 == sources.layers.len();
    let host = view.host(path);
    let holds = |area: &&Area| {
        if own {
            path.is_within(&area.to)
        } else {
            host.as_ref().is_some_and(|host| host.is_within(&area.from))
        }
    };
    let mut areas: Vec<&Area> = whose.areas.iter().filter(holds).collect();
    areas.sort_by_key(|area| std::cmp::Reverse(area.to.as_str().len()));
    let says = |(of, _): &&(schema::Access, Origin)| match access.list() {
        "write" => *of == schema::Access::Write,
        "execute" => *of == schema::Access::Execute,
        _ => true,
    };
    let lines = |entries: Vec<&(schema::Access, Origin)>| -> Vec<Line> {
        entries.into_iter().map(|(_, origin)| Line::from(origin)).collect()
    };
    let found = areas.iter().map(|area| area.entries.iter().filter(says).collect::<Vec<_>>());
    match found.into_iter().find(|entries| !entries.is_empty()) {
        Some(entries) => lines(entries),
        None => lines(areas.first().into_iter().flat_map(|area| &area.entries).collect()),
    }
}

/// What else is to be known of a place.
pub(super) fn note(view: &View<'_>, path: &JailPath, answer: &mut Answer) {
    let process = path.as_str().strip_prefix("/proc/").is_some_and(|below| {
        below.starts_with("self")
            || below.starts_with("thread-self")
            || below.starts_with(|letter: char| letter.is_ascii_digit())
    });
    if process && matches!(view.around(path).what, What::Proc) {
        answer.note(
            "what a process shows of itself in /proc depends on who asks: the kernel decides at the time",
        );
    }
}
