//! Paths outside and inside, which must not be mixed.

use alloc::{format, string::String};
use core::fmt;
use serde::{Deserialize, Serialize};

macro_rules! absolute_path {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The path as text: absolute, normal, no trailing slash but for `/` itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Whether this path is `other` or lies below it, by whole components.
            #[must_use]
            pub fn is_within(&self, other: &Self) -> bool {
                within(&self.0, &other.0)
            }

            /// The directory this path lies in; nothing for `/`.
            #[must_use]
            pub fn parent(&self) -> Option<Self> {
                match self.0.rfind('/') {
                    _ if self.0 == "/" => None,
                    Some(0) => Some(Self(String::from("/"))),
                    Some(cut) => self.0.get(..cut).map(|head| Self(String::from(head))),
                    None => None,
                }
            }

            /// The last component; nothing for `/`.
            #[must_use]
            pub fn file_name(&self) -> Option<&str> {
                self.0.rsplit('/').next().filter(|name| !name.is_empty())
            }

            /// This path with a relative one appended.
            ///
            /// # Errors
            /// Where `below` is empty, absolute or not normal.
            pub fn join(&self, below: &str) -> Result<Self, PathError> {
                let head = if self.0 == "/" { "" } else { self.0.as_str() };
                Self::try_from(format!("{head}/{below}"))
            }

            /// The part of this path below `other`: empty where they are equal, nothing where this
            /// path does not lie within it.
            #[must_use]
            pub fn below(&self, other: &Self) -> Option<&str> {
                if !self.is_within(other) {
                    return None;
                }
                let cut = if other.0 == "/" { 0 } else { other.0.len() };
                self.0.get(cut..).map(|tail| tail.trim_start_matches('/'))
            }
        }

        impl TryFrom<String> for $name {
            type Error = PathError;

            fn try_from(path: String) -> Result<Self, PathError> {
                check(&path).map(|()| Self(path))
            }
        }

        impl TryFrom<&str> for $name {
            type Error = PathError;

            fn try_from(path: &str) -> Result<Self, PathError> {
                Self::try_from(String::from(path))
            }
        }

        impl From<$name> for String {
            fn from(path: $name) -> Self {
                path.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
                to.write_str(&self.0)
            }
        }
    };
}

absolute_path! {
    /// A path as the host names it, before `pivot_root`.
    HostPath
}

absolute_path! {
    /// A path as the sandbox names it, after `pivot_root`.
    JailPath
}

/// Why a text is not a path of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathError {
    /// It does not begin with `/`.
    NotAbsolute,
    /// It has an empty, `.` or `..` component, or ends with `/`.
    NotNormal,
    /// It has a NUL byte.
    Nul,
    /// It is longer than the kernel's `PATH_MAX` of 4096 bytes allows.
    TooLong,
}

impl fmt::Display for PathError {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self {
            Self::NotAbsolute => "not absolute",
            Self::NotNormal => "has an empty, `.` or `..` component",
            Self::Nul => "has a NUL byte",
            Self::TooLong => "longer than 4095 bytes",
        })
    }
}

impl core::error::Error for PathError {}

fn check(path: &str) -> Result<(), PathError> {
    if path.contains('\0') {
        return Err(PathError::Nul);
    }
    if path.len() > 4095 {
        return Err(PathError::TooLong);
    }
    let Some(rest) = path.strip_prefix('/') else {
        return Err(PathError::NotAbsolute);
    };
    let normal = rest.is_empty() || rest.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if normal { Ok(()) } else { Err(PathError::NotNormal) }
}

fn within(path: &str, other: &str) -> bool {
    other == "/"
        || path.strip_prefix(other).is_some_and(|tail| tail.is_empty() || tail.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sibling_with_the_same_prefix_is_not_within() {
        let tree = JailPath::try_from("/srv/a").unwrap();
        assert!(JailPath::try_from("/srv/a/b").unwrap().is_within(&tree));
        assert!(JailPath::try_from("/srv/a").unwrap().is_within(&tree));
        assert!(!JailPath::try_from("/srv/ab").unwrap().is_within(&tree));
    }

    #[test]
    fn what_is_not_normal_is_refused() {
        for (text, why) in [
            ("usr", PathError::NotAbsolute),
            ("", PathError::NotAbsolute),
            ("/usr/", PathError::NotNormal),
            ("//usr", PathError::NotNormal),
            ("/usr/../etc", PathError::NotNormal),
            ("/usr/./x", PathError::NotNormal),
            ("/u\0", PathError::Nul),
        ] {
            assert_eq!(HostPath::try_from(text), Err(why), "{text:?}");
        }
        assert!(HostPath::try_from("/").is_ok());
    }

    #[test]
    fn parents_end_at_the_root() {
        let path = HostPath::try_from("/a/b").unwrap();
        let parent = path.parent().unwrap();
        assert_eq!(parent.as_str(), "/a");
        assert_eq!(parent.parent().unwrap().as_str(), "/");
        assert_eq!(parent.parent().unwrap().parent(), None);
        assert_eq!(path.below(&parent), Some("b"));
        assert_eq!(path.join("c/d").unwrap().as_str(), "/a/b/c/d");
        assert_eq!(HostPath::try_from("/").unwrap().join("c").unwrap().as_str(), "/c");
    }
}
