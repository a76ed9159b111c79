//! What an instance has, as the broker asked it for itself: before the first call of a tool, so that
//! a name that is hidden and one that does not exist are answered by the same hand.

use crate::{
    json::{Object, Value},
    schema::Schema,
};
use std::{collections::BTreeMap, sync::Arc};

/// Pages that a list may have, entries that are remembered, and bytes of their names.
const PAGES: u32 = 64;
const ENTRIES: usize = 4096;
const NAMES: usize = 256 << 10;

/// Entries by their names; each with the schema of its arguments, but for those that nobody reaches.
type Entries = BTreeMap<String, Entry>;

/// What is remembered of an entry.
#[derive(Debug)]
pub enum Entry {
    /// It is there, and its arguments are checked by this.
    There(Option<Arc<Schema>>),
    /// Somewhere in the list it is not what it was accepted as, and so it is not there.
    Refused,
}

/// Tools or prompts of an instance, by their names.
#[derive(Debug, Default)]
pub enum Catalogue {
    /// It was not asked.
    #[default]
    Unknown,
    /// It is being asked.
    Asked {
        /// What was answered so far.
        entries: Entries,
        /// Bytes of their names.
        names: usize,
        /// How many pages that was.
        pages: u32,
    },
    /// All there is.
    Known {
        /// The entries.
        entries: Entries,
        /// Bytes of their names.
        names: usize,
    },
}

/// What an entry takes beside its name. Its schema has an account of its own.
const EACH: usize = 64;

impl Catalogue {
    /// Begins to ask.
    pub fn ask(&mut self) {
        *self = Self::Asked { entries: BTreeMap::new(), names: 0, pages: 0 };
    }

    /// Remembers an entry and the schema of its arguments; the first of two with one name counts.
    pub fn add(&mut self, name: String, schema: Option<Arc<Schema>>) {
        self.note(name, Entry::There(schema));
    }

    /// An entry is not to be there, on whichever page it was or will be.
    pub fn refuse(&mut self, name: &str) {
        if let Self::Asked { entries, .. } = self
            && let Some(entry) = entries.get_mut(name)
        {
            *entry = Entry::Refused;
        } else {
            self.note(name.to_owned(), Entry::Refused);
        }
    }

    fn note(&mut self, name: String, entry: Entry) {
        if let Self::Asked { entries, names, .. } = self
            && entries.len() < ENTRIES
            && *names + name.len() <= NAMES
            && !entries.contains_key(&name)
        {
            *names += name.len();
            entries.insert(name, entry);
        }
    }

    /// A page was read. The cursor of the next, where there is one.
    pub fn page(&mut self, result: &Object) -> Option<String> {
        let Self::Asked { entries, names, pages } = self else { return None };
        *pages += 1;
        match result.get("nextCursor").and_then(Value::as_str) {
            Some(cursor) if *pages < PAGES => Some(cursor.to_owned()),
            _ => {
                *self = Self::Known { entries: std::mem::take(entries), names: *names };
                None
            }
        }
    }

    /// About how many bytes of memory it takes.
    #[must_use]
    pub fn weight(&self) -> usize {
        match self {
            Self::Unknown => 0,
            Self::Asked { entries, names, .. } | Self::Known { entries, names } => {
                names + entries.len() * EACH
            }
        }
    }

    /// Whether there is such an entry.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.known(name).is_some()
    }

    /// The schema of an entry's arguments; nothing where there is no such entry, or nobody reaches it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Schema> {
        self.known(name)?.as_deref()
    }

    fn known(&self, name: &str) -> Option<&Option<Arc<Schema>>> {
        match self {
            Self::Known { entries, .. } => match entries.get(name)? {
                Entry::There(schema) => Some(schema),
                Entry::Refused => None,
            },
            Self::Unknown | Self::Asked { .. } => None,
        }
    }
}
