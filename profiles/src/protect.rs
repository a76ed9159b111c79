//! What a host later executes, or takes its orders from, without being asked.
//!
//! An agent that may write a folder could plant these for the person who works in the folder next.
//! A pattern is relative to any directory, because repositories nest; the writable tree may itself be a part of it.
//! `*` stands for one component. Names count whatever their case: on some file systems a host finds them so.

use std::borrow::Cow;

/// A kind of path that a host later executes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name {
    /// Components; `*` stands for any one.
    pub pattern: &'static str,
    /// Who executes it.
    pub reason: &'static str,
}

const fn name(pattern: &'static str, reason: &'static str) -> Name {
    Name { pattern, reason }
}

const HOOK: &str = "git runs it";
const GIT: &str = "git runs commands that it names: filters, pagers, fsmonitor, aliases";
const HG: &str = "Mercurial runs the hooks that it names";
const JJ: &str = "jj runs the pagers, editors and tools that it names";
const LEFTHOOK: &str = "lefthook runs the hooks that it names";
const EDITOR: &str = "the editor runs commands that it names";
const SHELL: &str = "the interpreter or debugger runs it when it is started in the folder";
const ENTERED: &str = "the shell runs it, or what it names, when the folder is entered";
const CARGO: &str = "cargo runs the wrappers, linkers and aliases that it names, for editors too";
const YARN: &str = "yarn runs it, or the program that it names, at every command";
const BUILD: &str = "Maven or Bazel runs with the options, extensions and programs that it names";
const AGENT: &str = "coding agents take tools, hooks and permissions from it";
const CI: &str = "CI runs it with its own secrets";

const ALL: &[Name] = &[
    name(".git/hooks", HOOK),
    name(".git/config", GIT),
    name(".git/config.worktree", GIT),
    name(".git/commondir", "git takes hooks and settings from the folder that it names"),
    name(".git/info/attributes", "git selects filters by it"),
    name(".git/modules/*/hooks", HOOK),
    name(".git/modules/*/config", GIT),
    name(".git/modules/*/*/hooks", HOOK),
    name(".git/modules/*/*/config", GIT),
    name(".git/worktrees/*/config.worktree", GIT),
    name(".hg/hgrc", HG),
    name(".hg/hgrc-not-shared", HG),
    name(".hg/sharedpath", "Mercurial takes the hooks of the repository that it names"),
    name(".jj/repo/config.toml", JJ),
    name(".jj/workspace-config.toml", JJ),
    name(".husky", "git runs the hooks in it"),
    name(".githooks", "git runs the hooks in it if core.hooksPath says so"),
    name(".pre-commit-config.yaml", "pre-commit runs the hooks that it names"),
    name("lefthook.yml", LEFTHOOK),
    name("lefthook.yaml", LEFTHOOK),
    name("lefthook-local.yml", LEFTHOOK),
    name(".lefthook.yml", LEFTHOOK),
    name(".lefthook.yaml", LEFTHOOK),
    name(".lefthook-local.yml", LEFTHOOK),
    name(".lefthook", "lefthook runs the scripts in it"),
    name(".vscode/tasks.json", EDITOR),
    name(".vscode/settings.json", EDITOR),
    name(".vscode/launch.json", EDITOR),
    name(".vscode/extensions.json", "the editor installs what it names"),
    name(".vscode/mcp.json", "the editor starts the servers that it names"),
    name(".devcontainer", "the editor builds and runs what it describes"),
    name(".devcontainer.json", "the editor builds and runs what it describes"),
    name(".idea", EDITOR),
    name(".run", EDITOR),
    name(".fleet", EDITOR),
    name(".zed", EDITOR),
    name(".helix", EDITOR),
    name(".exrc", EDITOR),
    name(".vimrc", EDITOR),
    name(".nvim.lua", EDITOR),
    name(".nvimrc", EDITOR),
    name(".dir-locals.el", EDITOR),
    name(".dir-locals-2.el", EDITOR),
    name(".gdbinit", SHELL),
    name(".lldbinit", SHELL),
    name(".pdbrc", SHELL),
    name(".irbrc", SHELL),
    name(".pryrc", SHELL),
    name(".rdbgrc", SHELL),
    name(".byebugrc", SHELL),
    name(".ghci", SHELL),
    name(".iex.exs", SHELL),
    name(".Rprofile", SHELL),
    name(".octaverc", SHELL),
    name(".cargo/config.toml", CARGO),
    name(".cargo/config", CARGO),
    name(".yarnrc", YARN),
    name(".yarnrc.yml", YARN),
    name(".yarn/releases", YARN),
    name(".yarn/plugins", YARN),
    // npm leaves it out of what it packs, so that packages in `node_modules` cost no mount.
    name(".npmrc", "npm runs the shell, the git and the modules that it names"),
    name(".pnpmfile.cjs", "pnpm runs it at every install"),
    name(".mvn", BUILD),
    name(".bazelrc", BUILD),
    name(".envrc", ENTERED),
    name(".direnv", ENTERED),
    name(".mise.toml", ENTERED),
    name(".mise.local.toml", ENTERED),
    name(".mise/config.toml", ENTERED),
    name("mise.toml", ENTERED),
    name("mise.local.toml", ENTERED),
    name("mise/config.toml", ENTERED),
    name(".config/mise.toml", ENTERED),
    name(".config/mise", ENTERED),
    name(".autoenv.zsh", ENTERED),
    name(".mcp.json", "coding agents start the servers that it names"),
    name(".cursor", AGENT),
    name(".claude/settings.json", AGENT),
    name(".claude/settings.local.json", AGENT),
    name(".claude/hooks", AGENT),
    name(".claude/commands", AGENT),
    name(".claude/agents", AGENT),
    name(".claude/skills", AGENT),
    name(".codex", AGENT),
    name(".gemini", AGENT),
    name(".qwen", AGENT),
    name(".agents", AGENT),
    name(".roo", AGENT),
    name(".windsurf", AGENT),
    name(".kiro", AGENT),
    name(".amazonq", AGENT),
    name(".continue", AGENT),
    name(".opencode", AGENT),
    name("opencode.json", AGENT),
    name("opencode.jsonc", AGENT),
    name("crush.json", AGENT),
    name(".crush.json", AGENT),
    name(".aider.conf.yml", AGENT),
    name(".github/workflows", CI),
    name(".github/actions", CI),
    name(".gitea/workflows", CI),
    name(".forgejo/workflows", CI),
    name(".forgejo/actions", CI),
    name(".gitlab-ci.yml", CI),
    name(".woodpecker.yml", CI),
    name(".woodpecker.yaml", CI),
    name(".woodpecker", CI),
    name(".drone.yml", CI),
    name(".cirrus.yml", CI),
    name("bitbucket-pipelines.yml", CI),
    name(".circleci", CI),
    name(".buildkite", CI),
    name(".semaphore", CI),
    name("Jenkinsfile", CI),
    name("azure-pipelines.yml", CI),
];

/// All of them.
#[must_use]
pub fn names() -> &'static [Name] {
    ALL
}

/// How far a folder's path has come along the patterns: what of each would have to follow. Its leading components may
/// be any folders, those above a writable tree included: what lies in `.github` is what it is where `.github` alone was
/// granted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Along {
    rests: Vec<&'static str>,
    /// Whether each pattern may begin here as well.
    anew: bool,
}

/// What an entry of a folder is.
#[derive(Debug)]
pub struct Step {
    /// Whether it is protected.
    pub protected: bool,
    /// How far its own path has come.
    pub along: Along,
}

impl Along {
    /// Of a folder, by its path on the host.
    #[must_use]
    pub fn of(folder: &str) -> Self {
        let top = Self { rests: Vec::new(), anew: true };
        let names = folder.split('/').filter(|name| !name.is_empty());
        names.fold(top, |along, name| along.step(name).along)
    }

    /// What an entry with this name is.
    #[must_use]
    pub fn step(&self, name: &str) -> Step {
        let name = folded(name);
        let begin = if self.anew { ALL } else { &[] };
        let patterns = self.rests.iter().copied().chain(begin.iter().map(|one| one.pattern));
        let mut rests: Vec<&str> = patterns.filter_map(|pattern| behind(pattern, &name)).collect();
        let all = rests.len();
        rests.retain(|rest| !rest.is_empty());
        Step { protected: rests.len() < all, along: Self { rests, anew: self.anew } }
    }

    /// The same for what a link with that path leads to, whose own path is another.
    #[must_use]
    pub fn led(self) -> Self {
        Self { anew: false, ..self }
    }

    /// Whether something in a folder with that path may be protected by a name that began above it.
    #[must_use]
    pub fn leads_on(&self) -> bool {
        !self.rests.is_empty()
    }

    /// Bytes that it takes.
    #[must_use]
    pub fn size(&self) -> usize {
        size_of_val(self.rests.as_slice())
    }
}

/// What is left of a pattern behind a name that it begins with; nothing where it is all of it.
fn behind<'p>(pattern: &'p str, name: &str) -> Option<&'p str> {
    let left = match pattern.strip_prefix('*') {
        Some(left) => left,
        None => {
            let (begin, left) = pattern.split_at_checked(name.len())?;
            is(begin, name).then_some(left)?
        }
    };
    if left.is_empty() { Some(left) } else { left.strip_prefix('/') }
}

/// Whether a path is protected.
#[must_use]
pub fn matches(path: &str) -> bool {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    Along::of(folder).step(name).protected
}

fn is(part: &str, want: &str) -> bool {
    folded(part).eq_ignore_ascii_case(want)
}

/// In letters of ASCII where a file system that goes by Unicode's case finds the same, such as `ſ` and `K` for `s` and
/// `k`; ext4 and f2fs have such folders (`chattr +F`).
fn folded(name: &str) -> Cow<'_, str> {
    if name.is_ascii() {
        return name.into();
    }
    name.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

/// Whether a path that is no directory makes its program use a repository elsewhere, with that one's hooks and
/// settings: a `.git` file or link, gitrepository-layout(5), and the `.jj/repo` of a further workspace.
#[must_use]
pub fn leads_elsewhere(path: &str) -> bool {
    let mut names = path.rsplit('/');
    match names.next() {
        Some(name) if is(name, ".git") => true,
        Some(name) if is(name, "repo") => names.next().is_some_and(|above| is(above, ".jj")),
        Some(_) | None => false,
    }
}

/// Whether git takes a directory with these entries for a repository, whatever its own name is.
#[must_use]
pub fn is_repository<'e>(entries: impl Iterator<Item = &'e str>) -> bool {
    let (mut head, mut common, mut objects, mut refs) = (false, false, false, false);
    for entry in entries {
        head |= is(entry, "HEAD");
        common |= is(entry, "commondir");
        objects |= is(entry, "objects");
        refs |= is(entry, "refs");
    }
    head && (common || (objects && refs))
}

/// Whether git runs, or runs what is named in, this entry of a repository.
#[must_use]
pub fn of_repository(entry: &str) -> bool {
    ["hooks", "config", "config.worktree", "commondir"].iter().any(|name| is(entry, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_may_nest_and_siblings_do_not_match() {
        for path in [
            ".git/hooks",
            "a/b/.git/hooks",
            ".git/modules/x/hooks",
            ".git/modules/lib/x/config",
            "/srv/ws/sub/.envrc",
            "sub/.Git/HOOKS",
            "/ws/.github/workflows",
            ".git/modules/.git/hooks",
            ".jj/repo/config.toml",
            ".v\u{17f}code/tasks.json",
            ".git/hoo\u{212a}s",
        ] {
            assert!(matches(path), "{path}");
        }
        for path in [
            "git/hooks",
            ".git",
            "hooks",
            ".git/hooksx",
            ".git/objects/config",
            "x.envrc",
            // Granted by its own name.
            "/ws/.github/workflows/ci.yml",
            ".git//objects/hooks",
            ".git/hooks2",
            "",
        ] {
            assert!(!matches(path), "{path}");
        }
    }

    #[test]
    fn what_a_link_leads_to_is_what_its_name_says_and_not_its_own() {
        let link = Along::of("/ws").step(".vscode");
        assert!(!link.protected && link.along.leads_on());
        let led = link.along.led();
        assert!(led.step("Tasks.json").protected && !led.step("other").along.leads_on());
        assert!(!led.step(".envrc").protected, "its own path says that");
        assert!(!Along::of("/ws").step("src").along.leads_on());
        let module = Along::of("/ws/.git/modules").step("x");
        assert!(!module.protected && module.along.led().step("hooks").protected);
    }

    #[test]
    fn a_repository_is_known_by_what_it_holds() {
        assert!(is_repository(["HEAD", "refs", "objects", "x"].into_iter()));
        assert!(is_repository(["commondir", "HEAD"].into_iter()));
        assert!(!is_repository(["HEAD", "refs"].into_iter()));
        assert!(!is_repository(["objects", "refs", "commondir"].into_iter()));
        assert!(of_repository("commondir") && !of_repository("HEAD"));
        let there = ["sub/.git", ".git", "a/.jj/repo"];
        assert!(there.into_iter().all(leads_elsewhere));
        assert!(!["x.git", "a/repo", "repo"].into_iter().any(leads_elsewhere));
    }
}
