//! Where an instance that is kept ready waits for whoever it is for. What is said there is who it is from now
//! on, which is for this process to say: nothing that its caller wrote comes that way.

use super::Caller;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Who an instance is.
#[derive(Clone)]
pub(crate) struct Claim {
    /// The broker's number for it.
    pub(super) number: u64,
    /// Who it is where it calls itself.
    pub(super) caller: Option<Caller>,
}

/// Where it waits.
pub(crate) struct Hold {
    claim: Mutex<Held>,
    woken: Notify,
}

enum Held {
    /// Nobody has claimed it.
    Waits,
    Claimed(Claim),
    /// Nobody can any more.
    Over,
}

impl Hold {
    pub(super) fn new() -> Self {
        Self { claim: Mutex::new(Held::Waits), woken: Notify::new() }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Whoever panics ends this process.
        self.claim.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Claims it; false where that is too late.
    pub(super) fn claim(&self, claim: Claim) -> bool {
        let mut held = self.held();
        if !matches!(*held, Held::Waits) {
            return false;
        }
        *held = Held::Claimed(claim);
        self.woken.notify_one();
        true
    }

    /// Nobody claims it from here on; gives the claim of whoever did.
    pub(super) fn close(&self) -> Option<Claim> {
        match std::mem::replace(&mut *self.held(), Held::Over) {
            Held::Claimed(claim) => Some(claim),
            Held::Waits | Held::Over => None,
        }
    }

    /// Which instance it is by now.
    pub(super) fn number(&self) -> Option<u64> {
        match &*self.held() {
            Held::Claimed(claim) => Some(claim.number),
            Held::Waits | Held::Over => None,
        }
    }

    /// Waits until somebody claims it.
    pub(crate) async fn claimed(&self) {
        self.woken.notified().await;
    }

    /// Who it is where it calls, once it is claimed.
    pub(crate) fn caller(&self) -> Option<Caller> {
        match &*self.held() {
            Held::Claimed(claim) => claim.caller.clone(),
            Held::Waits | Held::Over => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(number: u64) -> Claim {
        Claim { number, caller: None }
    }

    #[test]
    fn it_is_claimed_once_and_not_when_it_is_over() {
        let hold = Hold::new();
        assert_eq!(hold.number(), None);
        assert!(hold.claim(claim(7)));
        assert!(!hold.claim(claim(8)));
        assert_eq!(hold.number(), Some(7));
        assert_eq!(hold.close().map(|claim| claim.number), Some(7));
        let over = Hold::new();
        assert!(over.close().is_none());
        assert!(!over.claim(claim(9)));
    }
}
