//! Restrictions of one kind, stacked: what one layer refuses, no other gives back.

use alloc::{string::String, vec::Vec};
use core::fmt;
use serde::{Deserialize, Serialize};

/// One restriction, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layer<T> {
    /// The profile it comes from, for receipts and failures.
    pub of: String,
    /// What it restricts to.
    pub rules: T,
}

/// Layers in the order in which they are put on: what was granted first, the own profile's last. At
/// least one, and no more than Landlock takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Layer<T>>", bound(deserialize = "T: Deserialize<'de>"))]
pub struct Layers<T>(Vec<Layer<T>>);

/// The most layers that Landlock stacks, landlock(7): it refuses the seventeenth with `E2BIG`.
pub const MOST: usize = 16;

impl<T> Layers<T> {
    /// Each layer, the one that is put on first first.
    pub fn iter(&self) -> core::slice::Iter<'_, Layer<T>> {
        self.0.iter()
    }

    /// The one that is put on last: the own profile's.
    #[must_use]
    pub fn last(&self) -> &Layer<T> {
        match self.0.as_slice() {
            [.., last] => last,
            [] => unreachable!("there is at least one"),
        }
    }
}

impl<'a, T> IntoIterator for &'a Layers<T> {
    type Item = &'a Layer<T>;
    type IntoIter = core::slice::Iter<'a, Layer<T>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T> From<Layer<T>> for Layers<T> {
    fn from(only: Layer<T>) -> Self {
        Self(alloc::vec![only])
    }
}

/// There is no layer, or there are more than the kernel stacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayersLength(pub usize);

impl fmt::Display for LayersLength {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{} layers; 1 to {MOST} can be stacked", self.0)
    }
}

impl core::error::Error for LayersLength {}

impl<T> TryFrom<Vec<Layer<T>>> for Layers<T> {
    type Error = LayersLength;

    fn try_from(layers: Vec<Layer<T>>) -> Result<Self, LayersLength> {
        match layers.len() {
            1..=MOST => Ok(Self(layers)),
            length => Err(LayersLength(length)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn layers(count: usize) -> Vec<Layer<u8>> {
        vec![Layer { of: "a".into(), rules: 7 }; count]
    }

    #[test]
    fn no_layer_and_a_seventeenth_are_refused_in_rust_and_in_json() {
        for count in [0, MOST + 1] {
            assert_eq!(Layers::try_from(layers(count)), Err(LayersLength(count)));
            let json = serde_json::to_string(&layers(count)).unwrap();
            assert!(serde_json::from_str::<Layers<u8>>(&json).is_err(), "{json}");
        }
    }

    #[test]
    fn the_order_survives_json() {
        let mut two = layers(2);
        two[1].of = "b".into();
        let two = Layers::try_from(two).unwrap();
        let json = serde_json::to_string(&two).unwrap();
        assert_eq!(json, r#"[{"of":"a","rules":7},{"of":"b","rules":7}]"#);
        assert_eq!(serde_json::from_str::<Layers<u8>>(&json).unwrap(), two);
    }
}
