//! How many instances and connections there may be at once, by the files that may be open.

use crate::sandbox::{self, StartError};

/// How much there may be at once, so that this process can clean up after all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Most {
    pub(super) instances: usize,
    pub(super) connections: usize,
}

/// Descriptors that an instance takes at most, while it is started; it keeps 25.
pub(super) const EACH: u64 = 40;
/// Likewise for its egress process, where it has one; that keeps 30.
pub(super) const EGRESS: u64 = 40;
/// Those of the broker that are no connection's and no instance's.
const BROKERS: u64 = 24;

impl Most {
    /// What fits, where this process may open so many files, and the broker not more than is usual; `secrets` where any
    /// may stand in arguments.
    ///
    /// # Errors
    /// Where not one does.
    pub(super) fn of(files: u64, each: u64, secrets: bool) -> Result<Self, StartError> {
        let instances = (files.saturating_sub(sandbox::DESCRIPTORS) / each).min(256);
        if instances == 0 {
            return Err(StartError::found("getrlimit", "RLIMIT_NOFILE").with_remedy(
                "allow more open files: ulimit -n 1024 (a command that calls needs 200, and 40 more for each callee at once, or 80 if a callee has network.mode = \"egress\")",
            ));
        }
        // Where the secrets come of each instance that calls is one more.
        let brokers = if secrets { 2 } else { 1 };
        let connections = files.min(1024) - BROKERS - brokers * instances;
        let fits = |count| usize::try_from(count).unwrap_or(usize::MAX);
        Ok(Self { instances: fits(instances), connections: fits(connections) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_may_be_at_once_fits_into_the_open_files() {
        assert!(Most::of(sandbox::DESCRIPTORS + EACH - 1, EACH, true).is_err());
        for files in [sandbox::DESCRIPTORS + EACH, 256, 1024, 4096, u64::MAX] {
            for (secrets, brokers) in [(false, 1), (true, 2)] {
                let Most { instances, connections } = Most::of(files, EACH, secrets).unwrap();
                let [instances, connections] =
                    [instances, connections].map(|count| u64::try_from(count).unwrap());
                assert!((1..=256).contains(&instances), "{files}");
                assert!(sandbox::DESCRIPTORS + instances * EACH <= files, "{files}");
                assert_eq!(brokers * instances + connections + BROKERS, files.min(1024), "{files}");
            }
        }
        assert_eq!(Most::of(1024, EACH, false).unwrap().instances, 21);
        assert_eq!(Most::of(1024, EACH + EGRESS, true).unwrap().instances, 10);
    }
}
