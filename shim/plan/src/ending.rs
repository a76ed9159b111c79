//! Stage `split`: how everything in the sandbox ends when init, or the supervisor, does.

use crate::Landlock;
use serde::{Deserialize, Serialize};

/// What init does at its end, and what binds the sandbox to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Ending {
    /// Init is PID 1 of a pid namespace: the kernel kills whoever is in it.
    PidNamespace,
    /// There is no pid namespace. Init adopts every orphan, and one signal of its own, which the fence
    /// lets reach the sandbox and nobody else, kills all of it at once, whatever it forks meanwhile.
    Domain {
        /// The ruleset that init and the command share: it keeps signals inside, and nothing else.
        fence: Landlock,
    },
}
