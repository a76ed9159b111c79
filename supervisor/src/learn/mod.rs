//! `sandboxd learn`: a command is run in a sandbox that shows it more than it will get, and what it used of
//! that becomes a profile.
//!
//! [`observe`] runs inside, with the command's rights and no other, and sees each call that names a file; [`way`] is
//! where that leads. [`seen`] is what it tells. [`group`] makes few grants of many names, [`text`] a profile of those.
//! Nothing is enforced by observing: what protects the host meanwhile is the sandbox that all of it is in.

pub(crate) mod calls;
pub(crate) mod group;
pub(crate) mod observe;
pub(crate) mod seen;
pub(crate) mod text;
mod way;
