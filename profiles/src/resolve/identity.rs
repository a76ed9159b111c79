//! Who the command is.

use super::Deciding;
use crate::origin::Written;
use crate::schema::User;
use sandboxd_plan::Identity;

impl Deciding<'_> {
    /// The ids of the command.
    pub(super) fn identity(&mut self) -> Identity {
        let leased = Identity { uid: self.lease.uid, gid: self.lease.uid };
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
                "write reason = \"…\" beside it, or user = \"dynamic\""
            } else {
                "write user = \"dynamic\", or user = \"root\" and a reason"
            };
            self.refuse(origin, "the command would run as root", remedy);
        }
        if uid == self.lease.init_uid {
            self.refuse(origin, "this uid belongs to sandboxd", "write another user");
        }
        Identity { uid, gid }
    }
}
