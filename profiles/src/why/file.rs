//! May the command do this with that path? Every layer is asked, in the order in which the kernel asks.

use super::access::{Access, Act, act, bit, rights};
use super::answer::{Answer, allows, refuses};
use super::host::Thing;
use super::permission::{EXECUTE, READ, SEARCH, WRITE, Who};
use super::places::{self, VIEW};
use super::syscall::calls_of;
use super::view::{EACCES, ENOENT, Node, View};
use super::walk::{ENOTDIR, Place, Stop};
use crate::resolve::Sources;
use sandboxd_plan::JailPath;

const EPERM: i32 = 1;
const EBUSY: i32 = 16;
const EROFS: i32 = 30;

const LANDLOCK: &str = "landlock";
const PERMISSIONS: &str = "permissions";

/// One question about a path.
pub(super) struct Asking<'a> {
    pub(super) view: View<'a>,
    pub(super) who: Who,
    pub(super) sources: &'a Sources,
    pub(super) access: Access,
}

/// A place, what is done there, and what has to let it be done.
struct Deed<'a> {
    act: Act,
    /// What Landlock wants.
    rights: u64,
    place: &'a Place,
    /// The folder in which a name comes or goes, where one does.
    folder: Option<(JailPath, Node)>,
}

impl Deed<'_> {
    /// What has to let it be done: the folder of a name, or the file itself.
    fn on(&self) -> (&JailPath, Option<&Node>) {
        match &self.folder {
            Some((path, node)) => (path, Some(node)),
            None => (&self.place.path, self.place.node.as_ref()),
        }
    }
}

impl Asking<'_> {
    pub(super) fn answer(&self, path: &str) -> Answer {
        let mut answer = Answer::new(format!("{} {path}", self.access.name()));
        // Before a path is looked at.
        self.filtered(&mut answer);
        match self.place(path) {
            Ok(place) => self.there(&place, &mut answer),
            Err(stop) => self.stopped(&stop, &mut answer),
        }
        answer
    }

    /// Where it leads, from the command's working directory.
    pub(super) fn place(&self, path: &str) -> Result<Place, Stop> {
        let cwd = &self.view.resolved.plan.exec.cwd;
        let walk = |path, follow| self.view.walk(&self.who, cwd, path, follow);
        if !self.access.is_of_the_name() {
            return walk(path, true);
        }
        // A name that comes or goes may end with a `/`, which is none of it; that of a link leads on then.
        let name = path.trim_end_matches('/');
        if name.is_empty() || name.len() == path.len() {
            return walk(path, false);
        }
        let place = walk(name, false)?;
        match (self.access, place.node.as_ref().map(|node| &node.thing)) {
            (_, Some(Thing::Link(_))) => walk(path, true),
            (Access::MakeDir, None) | (_, Some(Thing::Directory)) => Ok(place),
            (Access::RemoveFile | Access::RemoveDir, Some(_)) => {
                Err(Stop::new(&place.path, ENOTDIR))
            }
            (_, Some(_)) => Ok(place),
            (_, None) => Err(Stop::new(&place.path, ENOENT)),
        }
    }

    /// The way led to its end.
    fn there(&self, place: &Place, answer: &mut Answer) {
        for (link, target) in &place.links {
            answer.note(format!("{link} is a link to {target}"));
        }
        let (act, right) = match act(self.access, place.node.as_ref()) {
            Ok(done) => done,
            Err((ENOENT, _)) => return self.missing(&place.path, answer),
            Err((errno, what)) => {
                return answer.say(refuses(VIEW, what, Vec::new()), Some(errno));
            }
        };
        let mut rights = right;
        if act == Act::Create {
            rights |= bit("write-file");
        }
        if act == Act::Control {
            rights |= bit("read-file");
        }
        let folder = match (act, &place.node) {
            (Act::Create | Act::Make, Some(node)) => Some((place.path.clone(), node.clone())),
            (Act::Create | Act::Make | Act::Remove, _) => place
                .path
                .parent()
                .and_then(|parent| Some((parent.clone(), self.view.at(&parent).ok()?))),
            _ => None,
        };
        let deed = Deed { act, rights, place, folder };
        match act {
            Act::Create | Act::Make | Act::Remove => {
                self.viewed(&deed, answer);
                self.landlocked(&deed, answer);
                self.permitted(&deed, answer);
            }
            Act::Execute => {
                self.viewed(&deed, answer);
                self.permitted(&deed, answer);
                self.landlocked(&deed, answer);
            }
            // A file that is there is looked at before the mount is asked.
            Act::Read | Act::Write | Act::Truncate | Act::Control | Act::Connect => {
                self.permitted(&deed, answer);
                self.viewed(&deed, answer);
                self.landlocked(&deed, answer);
            }
        }
        self.noted(&deed, answer);
    }

    /// What is to be known beside the answer.
    fn noted(&self, deed: &Deed<'_>, answer: &mut Answer) {
        let program = deed.place.node.as_ref().is_some_and(|node| node.thing == Thing::Regular);
        if answer.allowed && deed.act == Act::Execute && program {
            let words =
                "its interpreter (#!) or loader must be executable, too: ask about it as well";
            answer.note(words);
        }
        places::note(&self.view, &deed.place.path, answer);
    }

    /// What the mounts say.
    fn viewed(&self, deed: &Deed<'_>, answer: &mut Answer) {
        let path = &deed.place.path;
        let (on, node) = deed.on();
        let flags = node.map(|node| node.flags).unwrap_or_default();
        let special = node.is_some_and(|node| node.thing.is_special());
        let device = node.is_some_and(|node| node.thing == Thing::Device);
        let writes = !matches!(deed.act, Act::Read | Act::Execute | Act::Control | Act::Connect);
        let (from, lines) = places::shown(&self.view, self.sources, on, self.access);
        let refused = if places::is_covered(&self.view, on) {
            // Nobody may enter or open it, before it is asked how it is mounted.
            Some((EACCES, from.clone()))
        } else if deed.act == Act::Remove && self.view.is_mount_point(path) {
            Some((EBUSY, format!("{path} is a mount point, which cannot be moved or removed")))
        } else if writes && flags.read_only && !special {
            Some((EROFS, format!("{from}, read-only")))
        } else if deed.act == Act::Execute && flags.no_exec {
            Some((EACCES, format!("{from}, without execution")))
        } else if device && flags.no_dev {
            Some((EACCES, format!("{from}, without devices")))
        } else {
            None
        };
        match refused {
            Some((errno, what)) => answer.say(refuses(VIEW, what, lines), Some(errno)),
            None => answer.say(allows(VIEW, from, lines), None),
        }
    }

    /// What owner and mode say; nothing of what is covered.
    fn permitted(&self, deed: &Deed<'_>, answer: &mut Answer) {
        if matches!(self.access, Access::MakeChar | Access::MakeBlock) {
            let what = "creating a device needs CAP_MKNOD, which no command has";
            answer.say(refuses("capabilities", what, Vec::new()), Some(EPERM));
        }
        let wanted = match deed.act {
            Act::Read | Act::Control => READ,
            Act::Write | Act::Truncate | Act::Connect => WRITE,
            Act::Execute => EXECUTE,
            Act::Create | Act::Make | Act::Remove => WRITE | SEARCH,
        };
        let (path, Some(node)) = deed.on() else { return };
        if places::is_covered(&self.view, path) {
            return;
        }
        let words = format!("{path}: {}", self.who.words(node));
        if self.who.depends(node, wanted) {
            let list = "its access control list decides, and sandboxd does not read it";
            return answer.say(allows(PERMISSIONS, format!("{words}; {list}"), Vec::new()), None);
        }
        match self.who.may(node, wanted) {
            Ok(()) => answer.say(allows(PERMISSIONS, words, Vec::new()), None),
            Err(errno) => answer.say(refuses(PERMISSIONS, words, Vec::new()), Some(errno)),
        }
        if let (Act::Remove, Some(entry)) = (deed.act, &deed.place.node)
            && !self.who.may_remove(node, entry)
        {
            let what = format!("{path} is sticky: only an owner can remove something from it");
            answer.say(refuses(PERMISSIONS, what, Vec::new()), Some(EPERM));
        }
    }

    /// What the rulesets say.
    fn landlocked(&self, deed: &Deed<'_>, answer: &mut Answer) {
        let (on, _) = deed.on();
        self.ruled(on, deed.rights, answer);
    }

    fn ruled(&self, on: &JailPath, wanted: u64, answer: &mut Answer) {
        let all = self.view.ruled(on, wanted);
        let several = all.len() > 1;
        for (at, ruled) in all.into_iter().enumerate() {
            let lines = ruled.nearest.map_or_else(Vec::new, |rule| {
                places::written(&self.view, self.sources, (at, rule), self.access)
            });
            let told = if ruled.lacks == 0 { wanted } else { ruled.gives };
            let rule = ruled.nearest.map_or_else(
                || String::from("no rule covers it"),
                |path| format!("{path} grants {}", rights(told)),
            );
            let of = if several { format!("{}: ", ruled.of) } else { String::new() };
            let judged = if ruled.judged == 0 {
                let what = format!("{of}this kernel does not check {}", rights(wanted));
                allows(LANDLOCK, what, Vec::new())
            } else if ruled.lacks == 0 {
                allows(LANDLOCK, format!("{of}{rule}"), lines)
            } else {
                refuses(LANDLOCK, format!("{of}{rule}, not {}", rights(ruled.lacks)), lines)
            };
            answer.say(judged, Some(EACCES));
        }
    }

    /// What the filters say of the calls that it takes; nothing where they let it through.
    fn filtered(&self, answer: &mut Answer) {
        let calls = calls_of(self.access);
        let command = &self.view.resolved.plan.command;
        super::syscall::all_refused(&command.syscalls, self.sources, calls, answer);
    }

    /// Nothing is there.
    fn missing(&self, path: &JailPath, answer: &mut Answer) {
        let (what, lines) = places::nothing(&self.view, self.sources, path, self.access);
        answer.say(refuses(VIEW, what, lines), Some(ENOENT));
        // A word of a profile stands for the right on files; those of Landlock are their own.
        let right = bit(self.access.name()) | bit(&format!("{}-file", self.access.name()));
        self.ruled(path, right, answer);
        places::note(&self.view, path, answer);
    }

    /// The way ended before its end.
    fn stopped(&self, stop: &Stop, answer: &mut Answer) {
        let Stop { at, errno, closed } = stop;
        if let Some(folder) = closed {
            let (what, lines) = places::shown(&self.view, self.sources, at, Access::Read);
            if places::is_covered(&self.view, at) {
                answer.say(refuses(VIEW, what, lines), Some(*errno));
            } else {
                answer.say(allows(VIEW, what, lines), None);
                let what = format!("{at} may not be entered: {}", self.who.words(folder));
                answer.say(refuses(PERMISSIONS, what, Vec::new()), Some(*errno));
            }
            return;
        }
        if *errno == ENOENT {
            return self.missing(at, answer);
        }
        let (layer, what) = match *errno {
            ENOTDIR => (VIEW, format!("{at} is not a folder")),
            36 => (VIEW, format!("a name below {at} is too long")),
            40 => (VIEW, format!("{at} is one link too many")),
            EACCES => (
                PERMISSIONS,
                format!("{at} is not followed: everyone can create links in its folder"),
            ),
            _ => (VIEW, format!("{at} cannot be examined from here")),
        };
        answer.say(refuses(layer, what, Vec::new()), Some(*errno));
    }
}
