//! Paths as an operator writes them.
//!
//! A path is absolute, or begins with `{cwd}` (the folder `sandboxd` is run in) or `{home}` (the
//! home directory of whoever runs it). Only `bind.from` and the command line may be relative.

use sandboxd_plan::{HostPath, JailPath, PathError};

/// Where a path begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// At `/`.
    Root,
    /// In the folder `sandboxd` is run in.
    Cwd,
    /// In the home directory of whoever runs it.
    Home,
    /// In the folder that the profile lies in.
    Profile,
}

/// A path whose beginning may depend on who runs the profile, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    base: Base,
    /// Absolute for [`Base::Root`] and [`Base::Profile`]; else relative to the base, and empty for the base itself.
    rest: String,
}

/// What `{cwd}` and `{home}` stand for in this run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Folders {
    /// The folder `sandboxd` is run in.
    pub cwd: Option<HostPath>,
    /// The home directory of whoever runs it.
    pub home: Option<HostPath>,
    /// A folder that profiles lie in, and the one that it stands for, where that is another.
    pub moved: Option<(HostPath, HostPath)>,
}

impl Folders {
    /// These two.
    pub(crate) const fn of(cwd: Option<HostPath>, home: Option<HostPath>) -> Self {
        Self { cwd, home, moved: None }
    }

    /// Where a path lies that a profile names by its own folder.
    fn stands(&self, path: HostPath) -> Option<HostPath> {
        match &self.moved {
            Some((from, to)) => match path.below(from) {
                Some("") => Some(to.clone()),
                Some(below) => to.join(below).ok(),
                None => Some(path),
            },
            None => Some(path),
        }
    }
}

/// Which folder a relative path starts from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Relative<'f> {
    Refused,
    From(&'f HostPath),
    FromCwd,
}

/// Why a text is not a path, and what to write.
pub(crate) type Refusal = (String, &'static str);

const ABSOLUTE: &str = "write the path from / with no `..`";

impl Place {
    /// Understand a path.
    pub(crate) fn read(text: &str, relative: Relative<'_>) -> Result<Self, Refusal> {
        let (base, rest) = if let Some(rest) = text.strip_prefix("{cwd}") {
            (Base::Cwd, rest)
        } else if let Some(rest) = text.strip_prefix("{home}") {
            (Base::Home, rest)
        } else {
            (Base::Root, text)
        };
        if text.starts_with('~') {
            return Err((format!("{text} begins with ~"), "write {home} for the home directory"));
        }
        if rest.contains(['*', '?', '[']) {
            return Err((
                format!("{text} is a pattern"),
                "name the folder; patterns are not supported",
            ));
        }
        if rest.contains(['{', '}']) {
            return Err((format!("{text} has a brace"), "only {cwd} and {home}, at the beginning"));
        }
        if base != Base::Root {
            return match rest.strip_prefix('/') {
                _ if rest.is_empty() => Ok(Self { base, rest: String::new() }),
                Some(rest) => below(text, rest).map(|rest| Self { base, rest }),
                None => Err((format!("{text} is not a path"), "write a / after the brace")),
            };
        }
        if text.starts_with('/') {
            let path = HostPath::try_from(text).map_err(|error| refusal(text, error))?;
            return Ok(Self { base, rest: path.into() });
        }
        if text.is_empty() {
            return Err(("an empty path".into(), ABSOLUTE));
        }
        let inner = if text == "." { "" } else { text.strip_prefix("./").unwrap_or(text) };
        let inner = inner.strip_suffix('/').unwrap_or(inner);
        match relative {
            Relative::Refused => Err((format!("{text} is not absolute"), ABSOLUTE)),
            Relative::FromCwd if inner.is_empty() => {
                Ok(Self { base: Base::Cwd, rest: String::new() })
            }
            Relative::FromCwd => below(text, inner).map(|rest| Self { base: Base::Cwd, rest }),
            Relative::From(folder) if inner.is_empty() => Ok(Self::beside(folder.clone())),
            Relative::From(folder) => {
                folder.join(inner).map(Self::beside).map_err(|error| refusal(text, error))
            }
        }
    }

    /// The path on the host; nothing where the folder it begins in is not known.
    #[must_use]
    pub fn host(&self, folders: &Folders) -> Option<HostPath> {
        let base = match self.base {
            Base::Root => return HostPath::try_from(self.rest.as_str()).ok(),
            Base::Profile => return folders.stands(HostPath::try_from(self.rest.as_str()).ok()?),
            Base::Cwd => folders.cwd.as_ref()?,
            Base::Home => folders.home.as_ref()?,
        };
        if self.rest.is_empty() { Some(base.clone()) } else { base.join(&self.rest).ok() }
    }

    /// The same path inside.
    #[must_use]
    pub fn jail(&self, folders: &Folders) -> Option<JailPath> {
        self.host(folders).and_then(|path| JailPath::try_from(path.as_str()).ok())
    }

    fn beside(path: HostPath) -> Self {
        Self { base: Base::Profile, rest: path.into() }
    }

    /// Where it begins.
    #[must_use]
    pub const fn base(&self) -> Base {
        self.base
    }
}

impl From<HostPath> for Place {
    fn from(path: HostPath) -> Self {
        Self { base: Base::Root, rest: path.into() }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let base = match self.base {
            Base::Root | Base::Profile => return to.write_str(&self.rest),
            Base::Cwd => "{cwd}",
            Base::Home => "{home}",
        };
        let slash = if self.rest.is_empty() { "" } else { "/" };
        write!(to, "{base}{slash}{}", self.rest)
    }
}

fn below(text: &str, rest: &str) -> Result<String, Refusal> {
    HostPath::try_from(format!("/{rest}"))
        .map(|_| rest.to_owned())
        .map_err(|error| refusal(text, error))
}

fn refusal(text: &str, error: PathError) -> Refusal {
    let shown: String = text.chars().take(120).collect();
    (format!("{shown} {}", error_words(error)), ABSOLUTE)
}

fn error_words(error: PathError) -> String {
    match error {
        PathError::NotAbsolute => "is not absolute".into(),
        PathError::NotNormal | PathError::Nul => error.to_string(),
        PathError::TooLong => "is longer than 4095 bytes".into(),
    }
}
