//! `{{secret:NAME}}` in the arguments of a tool: whether a secret of the caller's stands there, and the line with the
//! secret in its place. Once a callee may have one, what is [hidden](Keyring::hidden) is taken out of whatever that says.
//!
//! What a secret is stands nowhere but in its own locked pages, as JSON has it in a string, and is written from
//! there: no line is made that has it. So nothing that it says is taken for a placeholder, either.

use crate::{
    former::keep,
    json::Value,
    secret::{MOST, NotTaken, SecretError, Secrets, fill, unlocked},
};
use sandboxd_audit::{Hidden, encode::in_json, hide};
use sandboxd_broker_plan::{Name, Placeholder};
use sandboxd_kernel::locked::Locked;
use std::{fmt, sync::Arc};

/// What a placeholder begins and ends with.
const OPENS: &str = "{{secret:";
const CLOSES: &str = "}}";

/// How many there may be in one call.
pub const MANY: usize = 16;

/// Why a placeholder is not swapped. It says the same of a secret that is not there, is for another tool or belongs
/// elsewhere: which there are is nobody's to find out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// No secret stands there.
    Misplaced,
    /// There are more than may be, or the line would be too long.
    TooMany,
}

/// What stands in some arguments.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Found {
    /// The secrets, a bit for each place in the caller's list.
    pub secrets: u64,
    /// How many placeholders.
    pub count: usize,
}

/// A part of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// As it is.
    Text(Vec<u8>),
    /// What a secret is.
    Secret(Quoted),
}

/// A secret as JSON has it between quotation marks.
#[derive(Clone)]
pub struct Quoted(Arc<Locked>);

impl Quoted {
    /// The bytes of it.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.0.bytes()
    }
}

impl PartialEq for Quoted {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Quoted {}

impl fmt::Debug for Quoted {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("Quoted")
    }
}

/// The secrets of a caller.
#[derive(Debug)]
pub struct Keyring(Vec<Kept>);

#[derive(Debug)]
struct Kept {
    name: Name,
    quoted: Quoted,
    /// What takes it out of texts, and what it was before.
    hidden: Vec<Arc<Hidden>>,
}

impl Keyring {
    /// These, by their names; and what they were before goes on to be covered, the last few times.
    ///
    /// # Errors
    /// Where one is none that can stand in arguments, or no more memory can be locked.
    pub fn of(
        names: &[Name],
        secrets: &Secrets,
        before: Option<&Self>,
    ) -> Result<Self, SecretError> {
        let names_of: Vec<&str> = names.iter().map(Name::as_str).collect();
        secrets.are_of(&names_of)?;
        let kept = names.iter().zip(secrets.all()).map(|(name, value)| {
            let unfit = |what| SecretError::new(NotTaken::Unfit, format!("secret {name:?} {what}"));
            fits(value).map_err(unfit)?;
            let mut locked = Locked::with_room(length(value)).map_err(|_| unlocked())?;
            fill(&mut locked, quoted(value));
            let hidden = Hidden::of(name.as_str(), value).map_err(|_| unlocked())?;
            let known = before.and_then(|before| before.get(name.as_str()));
            let mut all = known.map(|kept| kept.hidden.clone()).unwrap_or_default();
            hide_too(&mut all, Arc::new(hidden));
            Ok(Kept { name: name.clone(), quoted: Quoted(Arc::new(locked)), hidden: all })
        });
        kept.collect::<Result<_, _>>().map(Self)
    }

    fn get(&self, name: &str) -> Option<&Kept> {
        self.0.iter().find(|kept| kept.name.as_str() == name)
    }

    /// What takes them out of texts.
    pub fn hidden(&self) -> impl Iterator<Item = &Arc<Hidden>> {
        self.0.iter().flat_map(|kept| &kept.hidden)
    }

    /// A text of JSON with the secrets in the places of their placeholders; nothing where one has no such name.
    #[must_use]
    pub fn pieces(&self, text: &str) -> Option<Vec<Piece>> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, name, after)) = next(rest) {
            pieces.push(Piece::Text(before.as_bytes().to_vec()));
            pieces.push(Piece::Secret(self.get(name?)?.quoted.clone()));
            rest = after;
        }
        pieces.push(Piece::Text(rest.as_bytes().to_vec()));
        Some(pieces)
    }
}

/// Has this one taken out of texts as well, as the last that a secret of its name was.
pub fn hide_too(all: &mut Vec<Arc<Hidden>>, one: Arc<Hidden>) {
    let same_name = |known: &Arc<Hidden>, one: &Arc<Hidden>| known.name() == one.name();
    keep(all, one, |known, one| known.is_same(one), same_name);
}

/// Whether it can stand in arguments: as text, and so that it is known again in an answer.
///
/// # Errors
/// Why it cannot, in words that go on from its name.
pub fn fits(value: &[u8]) -> Result<(), &'static str> {
    if std::str::from_utf8(value).is_err() {
        return Err("is not UTF-8, and JSON carries nothing else");
    }
    if !hide::is_found(value) {
        return Err("is too short for answers to be searched for it");
    }
    if hide::is_too_much(value) {
        return Err("has too many lines for answers to be searched for them");
    }
    if length(value) > MOST {
        return Err("takes more than 8192 bytes in JSON");
    }
    Ok(())
}

fn quoted(value: &[u8]) -> impl Iterator<Item = u8> {
    value.iter().flat_map(|byte| {
        let (bytes, length) = in_json(*byte);
        bytes.into_iter().take(length)
    })
}

fn length(value: &[u8]) -> usize {
    value.iter().map(|byte| in_json(*byte).1).sum()
}

/// What comes before the next placeholder, the name in it, which is nothing where it does not end, and what comes
/// after it.
fn next(text: &str) -> Option<(&str, Option<&str>, &str)> {
    let (before, rest) = text.split_once(OPENS)?;
    match rest.split_once(CLOSES) {
        Some((name, after)) => Some((before, Some(name), after)),
        None => Some((before, None, "")),
    }
}

/// What stands in the arguments of a tool, where these are all the places in which a secret may: `names` are the
/// caller's.
///
/// # Errors
/// Where a placeholder stands elsewhere, in the name of an argument, or is none.
pub fn found(arguments: &Value, places: &[&Placeholder], names: &[Name]) -> Result<Found, Unfit> {
    let mut found = Found::default();
    look(arguments, &mut String::new(), &Places { places, names }, &mut found)?;
    if found.count > MANY { Err(Unfit::TooMany) } else { Ok(found) }
}

struct Places<'p> {
    places: &'p [&'p Placeholder],
    names: &'p [Name],
}

impl Places<'_> {
    /// The bit of the secret of this name, where it may stand there.
    fn bit(&self, name: &str, at: &str) -> Option<u64> {
        let place = self.names.iter().position(|known| known.as_str() == name)?;
        let here = |pointer: &String| {
            at.strip_prefix(pointer.as_str())
                .is_some_and(|below| below.is_empty() || below.starts_with('/'))
        };
        let may = self
            .places
            .iter()
            .any(|one| usize::try_from(one.secret) == Ok(place) && one.arguments.iter().any(here));
        if may { 1_u64.checked_shl(u32::try_from(place).ok()?) } else { None }
    }
}

/// Looks at a value, which this JSON pointer leads to.
fn look(value: &Value, at: &mut String, places: &Places<'_>, to: &mut Found) -> Result<(), Unfit> {
    let length = at.len();
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
        Value::String(text) => {
            let mut rest = text.as_str();
            while let Some((_, name, after)) = next(rest) {
                let bit = name.and_then(|name| places.bit(name, at)).ok_or(Unfit::Misplaced)?;
                (to.secrets, to.count) = (to.secrets | bit, to.count + 1);
                rest = after;
            }
        }
        Value::Array(list) => {
            for (place, value) in list.iter().enumerate() {
                at.push_str(&format!("/{place}"));
                look(value, at, places, to)?;
                at.truncate(length);
            }
        }
        Value::Object(object) => {
            for (key, value) in object.iter() {
                if key.contains(OPENS) {
                    return Err(Unfit::Misplaced);
                }
                at.push('/');
                at.push_str(&key.replace('~', "~0").replace('/', "~1"));
                look(value, at, places, to)?;
                at.truncate(length);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
