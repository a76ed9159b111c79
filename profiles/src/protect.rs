//! What a host later executes, or takes its orders from, without being asked.
//!
//! An agent that may write a folder could plant these for the person who works in the folder next.
//! A pattern is relative to any directory, because repositories nest; the writable tree may itself be a part of it.
//! `*` stands for one component. Names count whatever their case: on some file systems a host finds them so.

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
const EDITOR: &str = "the editor runs commands that it names";
const AGENT: &str = "coding agents take tools, hooks and permissions from it";
const CI: &str = "continuous integration runs it with its own secrets";

const ALL: &[Name] = &[
    name(".git/hooks", HOOK),
    name(".git/config", GIT),
    name(".git/config.worktree", GIT),
    name(".git/info/attributes", "git picks filters by it"),
    name(".git/modules/*/hooks", HOOK),
    name(".git/modules/*/config", GIT),
    name(".git/modules/*/*/hooks", HOOK),
    name(".git/modules/*/*/config", GIT),
    name(".git/worktrees/*/config.worktree", GIT),
    name(".hg/hgrc", "Mercurial runs the hooks that it names"),
    name(".husky", "git runs the hooks in it"),
    name(".githooks", "git runs the hooks in it where core.hooksPath says so"),
    name(".pre-commit-config.yaml", "pre-commit runs the hooks that it names"),
    name("lefthook.yml", "lefthook runs the hooks that it names"),
    name(".vscode/tasks.json", EDITOR),
    name(".vscode/settings.json", EDITOR),
    name(".vscode/launch.json", EDITOR),
    name(".vscode/extensions.json", "the editor installs what it names"),
    name(".vscode/mcp.json", "the editor starts the servers that it names"),
    name(".devcontainer", "the editor builds and runs what it describes"),
    name(".devcontainer.json", "the editor builds and runs what it describes"),
    name(".idea", EDITOR),
    name(".fleet", EDITOR),
    name(".zed", EDITOR),
    name(".exrc", EDITOR),
    name(".nvim.lua", EDITOR),
    name(".nvimrc", EDITOR),
    name(".dir-locals.el", EDITOR),
    name(".gdbinit", "gdb runs it"),
    name(".yarnrc.yml", "yarn runs the program that it names"),
    name(".envrc", "direnv runs it when the folder is entered"),
    name(".mise.toml", "mise runs what it names when the folder is entered"),
    name("mise.toml", "mise runs what it names when the folder is entered"),
    name(".autoenv.zsh", "the shell runs it when the folder is entered"),
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
    name(".agents", AGENT),
    name(".roo", AGENT),
    name(".windsurf", AGENT),
    name(".github/workflows", CI),
    name(".github/actions", CI),
    name(".gitlab-ci.yml", CI),
    name(".circleci", CI),
    name(".buildkite", CI),
    name("Jenkinsfile", CI),
    name("azure-pipelines.yml", CI),
];

/// All of them.
#[must_use]
pub fn names() -> &'static [Name] {
    ALL
}

/// The name that a path below a writable tree is, if it is one. Its leading components may be any folders, those above the
/// tree included: what lies in `.github` is what it is where `.github` alone was granted.
#[must_use]
pub fn matches(tree: &str, below: &str) -> Option<&'static Name> {
    ALL.iter().find(|name| {
        let mut parts = below.rsplit('/').chain(tree.rsplit('/'));
        let mut pattern = name.pattern.rsplit('/');
        pattern.all(|want| parts.next().is_some_and(|part| want == "*" || is(part, want)))
    })
}

fn is(part: &str, want: &str) -> bool {
    part.eq_ignore_ascii_case(want)
}

/// Whether a path that is no directory makes git use a repository elsewhere, with that one's hooks
/// and settings: a `.git` file or link, gitrepository-layout(5).
#[must_use]
pub fn leads_elsewhere(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|name| is(name, ".git"))
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
            "sub/.envrc",
            "sub/.Git/HOOKS",
        ] {
            assert!(matches("/srv/ws", path).is_some(), "{path}");
        }
        for (tree, below) in [("/ws/.github", "workflows"), ("/ws/.git/modules/x", "hooks")] {
            assert!(matches(tree, below).is_some(), "{tree}: {below}");
        }
        // Granted by its own name.
        assert!(matches("/ws/.github/workflows", "ci.yml").is_none());
        for path in ["git/hooks", ".git", "hooks", ".git/hooksx", ".git/objects/config", "x.envrc"]
        {
            assert!(matches("/srv/ws", path).is_none(), "{path}");
        }
    }

    #[test]
    fn a_repository_is_known_by_what_it_holds() {
        assert!(is_repository(["HEAD", "refs", "objects", "x"].into_iter()));
        assert!(is_repository(["commondir", "HEAD"].into_iter()));
        assert!(!is_repository(["HEAD", "refs"].into_iter()));
        assert!(!is_repository(["objects", "refs", "commondir"].into_iter()));
        assert!(of_repository("commondir") && !of_repository("HEAD"));
        assert!(
            leads_elsewhere("sub/.git") && leads_elsewhere(".git") && !leads_elsewhere("x.git")
        );
    }
}
