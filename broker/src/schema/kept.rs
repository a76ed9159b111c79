//! Schemas that are kept: each once, whoever has it, and all those of one callee within so many bytes. What does not
//! fit cannot be checked, and so is not called.

use super::{Schema, SchemaError};
use crate::json::{self, Value};
use std::{collections::BTreeMap, sync::Arc};

/// The schemas of the tools of a callee, in all its instances.
#[derive(Debug)]
pub struct Schemas {
    known: BTreeMap<[u8; 32], Arc<Schema>>,
    held: usize,
    most: usize,
}

impl Schemas {
    /// At most so many bytes of them.
    #[must_use]
    pub const fn within(most: usize) -> Self {
        Self { known: BTreeMap::new(), held: 0, most }
    }

    /// How many bytes may be compiled of one answer, whether anything comes of it or not.
    #[must_use]
    pub const fn most(&self) -> usize {
        self.most
    }

    /// How many bytes are held, of how many schemas.
    #[cfg(test)]
    pub(crate) fn held(&self) -> (usize, usize) {
        (self.held, self.known.len())
    }

    /// The rules in a schema. What is not known yet is compiled, which is taken from `left`.
    ///
    /// # Errors
    /// Where it cannot be checked, or there is no room for it.
    pub fn get(&mut self, schema: &Value, left: &mut usize) -> Result<Arc<Schema>, SchemaError> {
        let digest = json::digest(schema, &[]);
        if let Some(known) = self.known.get(&digest) {
            return Ok(Arc::clone(known));
        }
        let schema = Arc::new(Schema::within(schema, left)?);
        if self.held + schema.bytes > self.most {
            self.known.retain(|_, known| Arc::strong_count(known) > 1);
            self.held = self.known.values().map(|known| known.bytes).sum();
        }
        if self.held + schema.bytes > self.most {
            return Err(SchemaError("there is no room for it beside the others".to_owned()));
        }
        self.held += schema.bytes;
        self.known.insert(digest, Arc::clone(&schema));
        Ok(schema)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;

    fn value(number: usize) -> Value {
        parse(format!("{{\"enum\":[\"{number}\",\"{}\"]}}", "x".repeat(1000)).as_bytes()).unwrap()
    }

    #[test]
    fn what_is_the_same_is_kept_once_and_all_of_it_within_a_bound() {
        let mut schemas = Schemas::within(64 << 10);
        let mut left = usize::MAX;
        let first = schemas.get(&value(0), &mut left).unwrap();
        let spent = usize::MAX - left;
        assert!(spent > 1000);
        assert!(Arc::ptr_eq(&first, &schemas.get(&value(0), &mut left).unwrap()));
        assert_eq!(usize::MAX - left, spent);
        let many = (1..1000).map(|number| schemas.get(&value(number), &mut { usize::MAX }));
        let kept: Vec<_> = many.filter_map(Result::ok).collect();
        assert!((10..64).contains(&kept.len()), "{}", kept.len());
        // Those that nobody has any more make room.
        drop(kept);
        assert!(schemas.get(&value(1000), &mut left).is_ok());
        assert_eq!(schemas.known.len(), 2);
    }

    #[test]
    fn what_comes_to_nothing_is_paid_for_too() {
        let mut schemas = Schemas::within(1 << 20);
        let mut left = schemas.most();
        let tries = (0..1000).filter(|number| {
            let text = format!("{{\"pattern\":\"a{{1000}}{{1000}}b{number}\"}}");
            assert!(schemas.get(&parse(text.as_bytes()).unwrap(), &mut left).is_err());
            left > 0
        });
        assert!(tries.count() < 3);
        assert!(schemas.get(&value(1), &mut left).is_err(), "nothing is left of this answer");
    }
}
