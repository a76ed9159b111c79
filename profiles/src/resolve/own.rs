//! What is no command's to write: the profiles that it is held to, and where a run tells of itself.

use super::trees::{Shown, Tree};
use super::{Deciding, Invocation};

impl Deciding<'_> {
    /// A profile that its own sandbox could rewrite binds nobody the next time; numbers are whoever's may put
    /// another socket there, and a receipt whoever's may put another file there.
    pub(super) fn own_files_are_safe(&mut self, shown: &Shown, invocation: &Invocation) {
        let trees = &shown.trees;
        let under = self.under.iter().flat_map(|profile| &profile.documents);
        for (file, folder) in self.profile.documents.iter().chain(under) {
            let name = file.rsplit('/').next().unwrap_or(file);
            let own = folder.join(name);
            let own = own.as_ref().unwrap_or(folder);
            let holds = |tree: &&Tree| !tree.names(own).is_empty();
            for tree in trees.iter().filter(|tree| tree.write).filter(holds) {
                self.problems.push(tree.origin.problem(
                    format!("{} may be written, and the profile {file} is in it", tree.from),
                    "move the profile to a folder that the sandbox cannot write",
                ));
            }
        }
        let told = [
            (
                &invocation.metrics,
                "--metrics would create its socket in it",
                "name a path in a folder that the sandbox cannot write: --metrics unix:/run/agents/build.metrics",
            ),
            (
                &invocation.receipt,
                "--receipt would be written into it",
                "name a file in a folder that the sandbox cannot write: --receipt /var/lib/agents/build.json",
            ),
        ];
        for (folder, what, remedy) in told {
            let Some(folder) = folder else { continue };
            // What is shown to be read within what is written is not written, and stays where it is.
            let around = trees.iter().filter(|tree| folder.is_within(&tree.from));
            let depth = around.clone().map(|tree| tree.from.as_str().len()).max();
            let nearest = around.filter(|tree| Some(tree.from.as_str().len()) == depth);
            let twice = shown.written_by_mount(folder).map(|(tree, _)| tree);
            for tree in nearest.filter(|tree| tree.write).chain(twice) {
                let what = format!("{} may be written, and {what}", tree.from);
                self.problems.push(tree.origin.problem(what, remedy));
            }
        }
    }
}
