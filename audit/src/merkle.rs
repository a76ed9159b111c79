//! The Merkle tree of RFC 6962, over the hashes of records: what a checkpoint signs. Only the roots of
//! the full subtrees are kept, so that a million records take twenty hashes.

use crate::chain::Hash;
use sha2::{Digest, Sha256};

/// A tree that only grows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tree {
    size: u64,
    /// Roots of full subtrees, the largest first; as many as `size` has bits that are set.
    peaks: Vec<[u8; 32]>,
}

impl Tree {
    /// How many leaves it has.
    pub(crate) const fn size(&self) -> u64 {
        self.size
    }

    /// Adds a record.
    pub(crate) fn push(&mut self, record: Hash) {
        self.push_leaf(&record.0);
    }

    fn push_leaf(&mut self, leaf: &[u8]) {
        let mut node = hash(&[0], &[leaf]);
        // Each bit that is carried over closes a subtree.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                node = hash(&[1], &[&left, &node]);
            }
        }
        self.peaks.push(node);
        self.size += 1;
    }

    /// The root: section 2.1 of the RFC.
    pub(crate) fn root(&self) -> [u8; 32] {
        let mut peaks = self.peaks.iter().rev();
        let Some(smallest) = peaks.next() else {
            return Sha256::digest([]).into();
        };
        peaks.fold(*smallest, |right, left| hash(&[1], &[left, &right]))
    }
}

fn hash(prefix: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut sha = Sha256::new();
    sha.update(prefix);
    parts.iter().for_each(|part| sha.update(part));
    sha.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::hex;

    /// The leaves and roots that the reference implementation of RFC 6962 is tested with.
    const LEAVES: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    const ROOTS: [&str; 9] = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    #[test]
    fn the_roots_are_those_of_the_reference_implementation() {
        let mut tree = Tree::default();
        assert_eq!(hex(&tree.root()), ROOTS[0]);
        for (index, leaf) in LEAVES.iter().enumerate() {
            tree.push_leaf(leaf);
            assert_eq!(hex(&tree.root()), ROOTS[index + 1], "{} leaves", index + 1);
        }
    }

    /// The definition of the RFC, word by word, which splits at the largest power of two below.
    fn by_the_book(leaves: &[Vec<u8>]) -> [u8; 32] {
        match leaves {
            [] => Sha256::digest([]).into(),
            [leaf] => hash(&[0], &[leaf]),
            _ => {
                let mut split = 1;
                while split * 2 < leaves.len() {
                    split *= 2;
                }
                let (left, right) = leaves.split_at(split);
                hash(&[1], &[&by_the_book(left), &by_the_book(right)])
            }
        }
    }

    #[test]
    fn a_tree_that_grew_is_the_tree_of_the_definition() {
        let leaves: Vec<Vec<u8>> = (0..300_u32).map(|n| n.to_be_bytes().to_vec()).collect();
        let mut tree = Tree::default();
        for (index, leaf) in leaves.iter().enumerate() {
            tree.push_leaf(leaf);
            assert_eq!(tree.root(), by_the_book(&leaves[..=index]));
        }
    }
}
