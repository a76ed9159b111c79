//! What is no command's to write: the profiles that it is held to, and where a run tells its numbers.

use super::{Deciding, trees};
use sandboxd_plan::HostPath;

impl Deciding<'_> {
    /// A profile that its own sandbox could rewrite binds nobody the next time; and numbers are whoever's
    /// may put another socket there.
    pub(super) fn own_files_are_safe(&mut self, trees: &[trees::Tree], metrics: Option<&HostPath>) {
        let under = self.under.iter().flat_map(|profile| &profile.documents);
        for (file, folder) in self.profile.documents.iter().chain(under) {
            let name = file.rsplit('/').next().unwrap_or(file);
            let own = folder.join(name).ok();
            let holds = |tree: &&trees::Tree| {
                folder.is_within(&tree.from) || own.as_ref() == Some(&tree.from)
            };
            for tree in trees.iter().filter(|tree| tree.write).filter(holds) {
                self.problems.push(tree.origin.problem(
                    format!("{} may be written, and the profile {file} lies in it", tree.from),
                    "move the profile to a folder that the sandbox cannot write",
                ));
            }
        }
        if let Some(folder) = metrics {
            let holds = |tree: &&trees::Tree| tree.write && folder.is_within(&tree.from);
            for tree in trees.iter().filter(holds) {
                self.problems.push(tree.origin.problem(
                    format!("{} may be written, and --metrics is to make its socket in it", tree.from),
                    "name a path in a folder that the sandbox cannot write: --metrics unix:/run/agents/build.metrics",
                ));
            }
        }
    }
}
