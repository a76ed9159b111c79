//! Who the command is.

use super::Deciding;
use crate::origin::Written;
use crate::schema::User;
use sandboxd_plan::{Groups, Identity};

impl Deciding<'_> {
    /// The ids of the command.
    pub(super) fn identity(&mut self) -> Identity {
        if self.is_bare() {
            return self.own_identity();
        }
        if self.is_rootless() {
            return self.callers_identity();
        }
        let groups = Groups::Emptied;
        let leased = Identity { uid: self.lease.uid, gid: self.lease.uid, groups };
        let Some(Written { value: user, origin }) = &self.profile.command.user else {
            return leased;
        };
        let (uid, gid) = match user {
            User::Dynamic => return leased,
            User::Invoker => self.host.invoker,
            User::Named(name) => match self.host.users.get(name) {
                Some(ids) => *ids,
                None => {
                    let what = format!("this host has no user {name}");
                    self.refuse(origin, what, "write dynamic, invoker, or a name of this host");
                    return leased;
                }
            },
        };
        let named = matches!(user, User::Named(_));
        if (uid == 0 || gid == 0) && !(named && self.profile.command.reason.is_some()) {
            let remedy = if named {
                "add reason = \"why\", or write user = \"dynamic\""
            } else {
                "write user = \"dynamic\", or user = \"root\" and a reason"
            };
            self.refuse(origin, "the command would run as root", remedy);
        }
        if uid == self.lease.init_uid {
            self.refuse(origin, "this uid belongs to sandboxd", "write another user");
        }
        Identity { uid, gid, groups }
    }

    /// Without root there is one identity to be had: the caller's, with the caller's groups.
    fn callers_identity(&mut self) -> Identity {
        let (uid, gid) = self.host.invoker;
        match &self.profile.command.user {
            Some(Written { value: User::Named(name), origin })
                if self.host.users.get(name).is_none_or(|ids| ids.0 != uid) =>
            {
                let what =
                    format!("sandboxd runs as uid {uid} here, and only root can become {name}");
                self.refuse(origin, what, "run sandboxd as root, or write user = \"dynamic\"");
            }
            Some(Written { value: User::Named(_) | User::Invoker, .. }) => {
                if !self.host.groups.is_empty() {
                    self.lacking(
                        "uid",
                        "the command keeps the caller's supplementary groups: only root can drop them",
                    );
                }
            }
            Some(Written { value: User::Dynamic, .. }) | None => {
                let groups =
                    if self.host.groups.is_empty() { "" } else { ", with the caller's groups" };
                self.lacking(
                    "uid",
                    &format!(
                        "the command runs as the caller, uid {uid}{groups}: only root can give it a uid of its own"
                    ),
                );
            }
        }
        Identity { uid, gid, groups: Groups::Kept }
    }

    /// Who init is, which stays as PID 1: somebody else than the command, where root can make it so.
    pub(super) fn init(&self, command: Identity) -> Identity {
        // Without a pid namespace init has to be able to kill it.
        if self.is_rootless() || self.is_bare() {
            return command;
        }
        let uid = self.lease.init_uid;
        Identity { uid, gid: uid, groups: Groups::Emptied }
    }
}
