//! What is put into requests for the sandbox, which it never has itself.

use crate::{HostName, rule::Method};
use alloc::string::String;
use sandboxd_broker_plan::Pattern;
use serde::{Deserialize, Serialize};

/// A secret that is put into requests to one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inject {
    /// Which of the plan's secrets, by its place.
    pub secret: u32,
    /// The only host that it is for.
    pub host: HostName,
    /// On this port.
    pub port: u16,
    /// The method of the requests that it is put into. Others go as they are, where a rule has them.
    pub method: Which<Method>,
    /// The path of those, without the query; it begins with `/`, or is `*`. One that may be read in two ways is
    /// like none that is written here.
    pub path: Which<Pattern>,
    /// Where in them. Whatever the client wrote there does not go on.
    pub spot: Spot,
}

/// Which of those that there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Which<T> {
    /// Whichever.
    Any,
    /// Those that are like this one.
    Only(T),
}

impl<T> Which<T> {
    /// Whether something is one of them, where it is known when it is like one.
    pub fn has(&self, is_like: impl FnOnce(&T) -> bool) -> bool {
        match self {
            Self::Any => true,
            Self::Only(one) => is_like(one),
        }
    }
}

impl<T> From<Option<T>> for Which<T> {
    /// Where none is named, any is meant.
    fn from(named: Option<T>) -> Self {
        named.map_or(Self::Any, Self::Only)
    }
}

/// Where in a request something is put.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Spot {
    /// The value of a field.
    Header {
        /// Its name.
        name: FieldName,
        /// What stands before the secret.
        before: String,
        /// What stands after it.
        after: String,
    },
    /// A parameter of the query.
    Query {
        /// Its name.
        name: String,
    },
    /// The password of `Authorization: Basic`.
    Basic {
        /// Whose password it is.
        user: String,
    },
}

/// The field that the password of a user is in.
pub const AUTHORIZATION: &str = "authorization";

impl Spot {
    /// The name of the field that it takes the place of, where it is one.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::Header { name, .. } => Some(name.as_str()),
            Self::Basic { .. } => Some(AUTHORIZATION),
            Self::Query { .. } => None,
        }
    }

    /// Whether it is the same place in a request as this one.
    #[must_use]
    pub fn is_at(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Query { name }, Self::Query { name: other }) => name == other,
            _ => self.field().is_some() && self.field() == other.field(),
        }
    }

    /// Whether what stands around the secret can be written so.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), &'static str> {
        let printed = |text: &str| text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        match self {
            Self::Header { before, after, .. } => {
                let fair = printed(before) && printed(after) && before.len() + after.len() <= 256;
                if fair { Ok(()) } else { Err("a field has at most 256 letters that are printed") }
            }
            Self::Query { name } => {
                let fair = !name.is_empty() && name.len() <= 128 && name.bytes().all(plain);
                if fair { Ok(()) } else { Err("a parameter's name has letters, digits and -._~") }
            }
            Self::Basic { user } => {
                let fair = printed(user) && !user.contains(':') && user.len() <= 256;
                if fair { Ok(()) } else { Err("a user has at most 256 letters, and no colon") }
            }
        }
    }
}

/// The name of a field of a request: lower case, and none that says how the request is to be read or
/// that is for one connection only.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FieldName(String);

/// Fields that are not for a secret.
const OTHERS: &[&str] = &[
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "range",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl FieldName {
    /// The name as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for FieldName {
    type Error = FieldNameError;

    fn try_from(text: String) -> Result<Self, FieldNameError> {
        let token = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&byte)
        };
        if text.is_empty() || text.len() > 64 || !text.bytes().all(token) {
            return Err(FieldNameError("a field's name has 1 to 64 small letters, digits and -"));
        }
        if OTHERS.contains(&text.as_str()) || text.starts_with("proxy-") {
            return Err(FieldNameError("that field says how a request is to be carried"));
        }
        Ok(Self(text))
    }
}

impl From<FieldName> for String {
    fn from(name: FieldName) -> Self {
        name.0
    }
}

/// A text is not the name of a field that a secret can be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldNameError(&'static str);

impl core::fmt::Display for FieldNameError {
    fn fmt(&self, to: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        to.write_str(self.0)
    }
}

impl core::error::Error for FieldNameError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_in_no_field_that_says_how_to_read_the_request() {
        let name = |text: &str| FieldName::try_from(String::from(text));
        assert!(name("authorization").is_ok() && name("x-api-key").is_ok());
        for text in ["", "Authorization", "a b", "a:", "host", "content-length", "proxy-x", "a\r\n"]
        {
            assert!(name(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_password_is_where_its_field_is() {
        let basic = Spot::Basic { user: String::new() };
        let name = FieldName::try_from(String::from(AUTHORIZATION)).unwrap();
        let header = Spot::Header { name, before: String::new(), after: String::new() };
        let query = Spot::Query { name: AUTHORIZATION.into() };
        assert!(basic.is_at(&header) && header.is_at(&basic) && query.is_at(&query));
        assert!(!basic.is_at(&query) && !query.is_at(&header));
    }
}
