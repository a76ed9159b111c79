//! The meet: what two authorities both allow.
//!
//! One law: the meet allows something exactly where both do. Nothing here joins two authorities.
//! The kernel computes the same again from the layers (Landlock domains and filters stack), so that
//! a mistake here cannot widen; a case compares the two. Read [`files`], [`calls`], [`egress`], [`words`].

pub(crate) mod calls;
pub(crate) mod egress;
pub(crate) mod files;
pub(crate) mod words;
