//! The descriptors that a plan refers to, in the order in which they are granted.

use super::limits;
use sandboxd_plan::fds;

/// The descriptors granted to the shim: the network namespace, `tasks` files, credentials, user namespaces, the
/// program, the command's sockets.
pub(super) struct Grants {
    network: bool,
    v1: u32,
    pub(super) copies: u32,
    pub(super) idmaps: Vec<crate::resolved::Idmap>,
    pinned: bool,
    pub(super) sockets: u32,
}

impl Grants {
    pub(super) fn new(limits: &limits::Decided, network: bool) -> Self {
        let v1 = limits.cgroup.as_ref().map_or(0, |cgroup| cgroup.v1.len());
        Self { network, v1: count(v1), copies: 0, idmaps: Vec::new(), pinned: false, sockets: 0 }
    }

    pub(super) fn network(&self) -> Option<u32> {
        self.network.then_some(u32::try_from(fds::FIRST_GRANTED).unwrap_or(0))
    }

    /// The first of the `tasks` files.
    fn first(&self) -> u32 {
        u32::try_from(fds::FIRST_GRANTED).unwrap_or(0) + u32::from(self.network)
    }

    pub(super) fn tasks(&self) -> Vec<u32> {
        (0..self.v1).map(|index| self.first() + index).collect()
    }

    /// The descriptor of a map, which is made where there is none yet.
    pub(super) fn idmap(&mut self, idmap: crate::resolved::Idmap) -> u32 {
        let known = self.idmaps.iter().position(|known| *known == idmap);
        let index = known.unwrap_or_else(|| {
            self.idmaps.push(idmap);
            self.idmaps.len() - 1
        });
        self.first_idmap() + count(index)
    }

    /// The descriptors of what credentials hold.
    pub(super) fn copies(&self) -> impl Iterator<Item = u32> {
        self.first() + self.v1..self.first_idmap()
    }

    fn first_idmap(&self) -> u32 {
        self.first() + self.v1 + self.copies
    }

    /// The descriptor of the program. Nothing but sockets can be granted after it.
    pub(super) fn pin(&mut self) -> u32 {
        self.pinned = true;
        self.first_idmap() + count(self.idmaps.len())
    }

    pub(super) fn first_socket(&self) -> u32 {
        self.first_idmap() + count(self.idmaps.len()) + u32::from(self.pinned)
    }

    pub(super) fn granted(&self) -> u32 {
        let first = u32::try_from(fds::FIRST_GRANTED).unwrap_or(0);
        self.first_socket() - first + self.sockets
    }
}

/// A count that a profile's bounds keep far below the type's.
pub(crate) fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
