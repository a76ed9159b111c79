//! Become the planned user, for good.
//!
//! Kernel: capabilities(7), credentials(7), prctl(2) `PR_SET_NO_NEW_PRIVS` (3.5).
//! Here because: after everything that needs root, before `landlock` and `seccomp`, which need
//! `no_new_privs`.
//! Proves: [`Demoted`].

use super::session;
use super::split::{Bond, Half};
use crate::failure::At;
use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use rustix::thread::{CapabilitiesSecureBits, CapabilitySet, CapabilitySets};
use sandboxd_plan::{Bounding, Call, Failure, Groups, Identity, Stage};

const AT: At = At(Stage::Identity);

/// Proof: runs as the planned user, holds no capability, cannot gain one.
#[must_use]
pub(crate) struct Demoted(());

pub(crate) fn demote(half: Half, plan: Identity) -> Result<Demoted, Failure> {
    change_ids(plan)?;
    drop_capabilities()?;
    rustix::thread::set_no_new_privs(true).map_err(AT.errno(Call::Prctl, "PR_SET_NO_NEW_PRIVS"))?;
    let bound = match half.bond() {
        // Changing ids cleared it (prctl(2)).
        Bond::DiesWithParent => session::die_with_parent(),
        Bond::OutlivesParent => session::outlive_parent(),
    };
    bound.map_err(AT.errno(Call::Prctl, "PR_SET_PDEATHSIG"))?;
    Ok(Demoted(()))
}

/// What neither half may have again, done once before they part: it costs a system call for every
/// capability there is.
pub(super) fn give_up_capabilities(bounding: Bounding) -> Result<(), Failure> {
    match bounding {
        Bounding::Emptied => {
            empty_bounding_set()?;
            lock_secure_bits()
        }
        Bounding::Kept => Ok(()),
    }
}

/// The kernel says where its capabilities end, so that one we have never heard of goes too.
fn empty_bounding_set() -> Result<(), Failure> {
    for number in 0..64 {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            Ok(()) => {}
            Err(Errno::INVAL) if number > 0 => return Ok(()),
            Err(errno) => return Err(AT.errno(Call::Prctl, "PR_CAPBSET_DROP")(errno)),
        }
    }
    Ok(())
}

/// uid 0 means nothing any more, and no capability is kept over a change of ids. Not
/// `NO_SETUID_FIXUP`: that would keep them.
fn lock_secure_bits() -> Result<(), Failure> {
    let bits = CapabilitiesSecureBits::NO_ROOT
        | CapabilitiesSecureBits::NO_ROOT_LOCKED
        | CapabilitiesSecureBits::KEEP_CAPS_LOCKED
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED;
    rustix::thread::set_capabilities_secure_bits(bits)
        .map_err(AT.errno(Call::Prctl, "PR_SET_SECUREBITS"))
}

/// Groups before gid before uid: once the uid is gone, neither of the others can be changed.
fn change_ids(Identity { uid, gid, groups }: Identity) -> Result<(), Failure> {
    let (user, group) = (Uid::from_raw(uid), Gid::from_raw(gid));
    match groups {
        Groups::Emptied => rustix::thread::set_thread_groups(&[])
            .map_err(AT.errno(Call::Setgroups, "no groups"))?,
        Groups::Kept => {}
    }
    rustix::thread::set_thread_res_gid(group, group, group)
        .map_err(AT.errno(Call::Setresgid, gid))?;
    rustix::thread::set_thread_res_uid(user, user, user).map_err(AT.errno(Call::Setresuid, uid))
}

fn drop_capabilities() -> Result<(), Failure> {
    rustix::thread::clear_ambient_capability_set()
        .map_err(AT.errno(Call::Prctl, "PR_CAP_AMBIENT_CLEAR_ALL"))?;
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    rustix::thread::set_capabilities(None, sets).map_err(AT.errno(Call::Capset, "no capabilities"))
}
