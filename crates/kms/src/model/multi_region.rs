//! Multi-Region keys: related keys in several regions that are one to whoever
//! has their ciphertext.
//!
//! Related keys have the same id, spec, usage, origin and materials, rotate as
//! one, and each keeps what all of them need to know in its own row, so that no
//! region asks another. Policies, grants, aliases, tags, description and state
//! are each one's own.
//!
//! Invariant: the rows of related keys agree on who is primary and who is
//! there; whoever changes that changes all of them in one transaction.

use std::collections::BTreeSet;

use ground::Region;
use serde::{Deserialize, Serialize};

/// Where the related keys of a multi-Region key are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MultiRegion {
    /// Where the one is that is replicated and rotated.
    pub primary: Region,
    /// Where its replicas are.
    pub replicas: BTreeSet<Region>,
}

impl MultiRegion {
    /// A primary key without replicas.
    pub fn alone(primary: Region) -> MultiRegion {
        MultiRegion {
            primary,
            replicas: BTreeSet::new(),
        }
    }

    /// Whether the key in `region` is the primary.
    pub fn is_primary(&self, region: &Region) -> bool {
        self.primary == *region
    }

    /// `PRIMARY` or `REPLICA`: `kms:MultiRegionKeyType`.
    pub fn type_in(&self, region: &Region) -> &'static str {
        if self.is_primary(region) {
            "PRIMARY"
        } else {
            "REPLICA"
        }
    }

    /// Every region but one.
    pub fn others(&self, than: &Region) -> Vec<Region> {
        let all = std::iter::once(&self.primary).chain(&self.replicas);
        all.filter(|region| *region != than).cloned().collect()
    }

    /// Makes the replica in `region` the primary, and the primary a replica.
    pub fn promote(&mut self, region: &Region) {
        if self.replicas.remove(region) {
            let was = std::mem::replace(&mut self.primary, region.clone());
            self.replicas.insert(was);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promotion_swaps_two_and_forgets_none() {
        let region = |name| Region::parse(name).unwrap();
        let (a, b, c) = (region("us-east-1"), region("eu-west-1"), region("ap-south-1"));
        let mut keys = MultiRegion::alone(a.clone());
        keys.replicas.extend([b.clone(), c.clone()]);
        keys.promote(&b);
        assert_eq!((keys.type_in(&b), keys.type_in(&a)), ("PRIMARY", "REPLICA"));
        let mut others = keys.others(&b);
        others.sort();
        assert_eq!(others, [c, a.clone()]);
        let before = keys.clone();
        keys.promote(&region("sa-east-1"));
        assert_eq!(keys, before);
    }
}
