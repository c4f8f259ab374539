//! Nodes: servers that share a store, and what becomes of the records of one
//! that never comes back.
//!
//! A node holds a lease on its name for as long as it lives, and renews it
//! long before it lapses. When the lease of a node has lapsed, one of the
//! others takes it, writes the records which that node had yet to write into
//! its own journal (their `addendum` names the dead node), and gives the lease
//! back. Meanwhile the dead node cannot start; afterwards it finds nothing to
//! make up for.
//!
//! Invariant: an intent is removed only by who has its record on disk. So no
//! record is lost, whatever clocks and networks do to leases. A record may be
//! in two journals: when the node had written it and died before it could say
//! so, or lives and was only out of reach. Both copies have one `eventID`;
//! whoever reads several journals goes by that.
//!
//! Two processes of one name: the name is held by a *place*, which a copied
//! data directory does not share, so the second is refused. Two processes in
//! one place are kept apart by the journal's lock.
//!
//! Absent by design: a node that serves alone (its store is a file that nobody
//! else can open) holds no lease and takes nothing over.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ground::{Clock, Timestamp};
use store::{Lease, Store, StoreError};
use tokio::sync::Mutex;

use crate::door::{OpenError, Parts};
use crate::intent;
use crate::limits::{JOB_LEASE, NAME_TRIES, NAME_TRY_INTERVAL, NODES_LOOKED_AT_MAX};

/// How a node stands among those that share its store.
#[derive(Debug, Clone)]
pub struct Sharing {
    /// What tells this node's data directory from a copy of it, and stays the
    /// same when the node starts again.
    pub place: String,
    /// How long a node must have been silent before another writes its
    /// records. Clocks of nodes must agree much better than that; if they do
    /// not, records are written twice, and none is lost.
    pub takeover_after: Duration,
    /// The time the nodes share: the machine's, but in tests.
    pub clock: Clock,
}

/// This node, and its hold on its name.
pub(crate) struct Node {
    name: String,
    sharing: Option<Sharing>,
    held: Mutex<Option<Lease>>,
    /// One more than the generation of the ring of roots that others were told
    /// this node knows; 0 before that.
    told_ring: AtomicU64,
}

impl Node {
    /// The node's name, if there are others.
    pub(crate) fn shared_name(&self) -> Option<&str> {
        self.sharing.as_ref().map(|_| self.name.as_str())
    }

    /// The time that the nodes share, if there are others.
    pub(crate) fn shared_now(&self) -> Option<Timestamp> {
        self.sharing.as_ref().map(|sharing| sharing.clock.now())
    }

    /// Whether the others know that this node knows a generation of the ring;
    /// true if there are none.
    pub(crate) fn has_told(&self, generation: u64) -> bool {
        self.sharing.is_none() || self.told_ring.load(Ordering::Relaxed) > generation
    }

    /// Notes what the others were told.
    pub(crate) fn told(&self, generation: u64) {
        self.told_ring
            .fetch_max(generation.saturating_add(1), Ordering::Relaxed);
    }

    /// Takes the node's name, waiting a little for who may be about to give it back.
    ///
    /// # Errors
    ///
    /// [`OpenError::NameHeld`] if another process has it.
    pub(crate) async fn claim(parts: &Parts, sharing: Option<Sharing>) -> Result<Node, OpenError> {
        let node = Node {
            name: parts.node.clone(),
            sharing,
            held: Mutex::default(),
            told_ring: AtomicU64::new(0),
        };
        let Some(sharing) = &node.sharing else {
            return Ok(node);
        };
        for _ in 0..NAME_TRIES {
            if let Some(lease) = node.hold(&parts.store, sharing, sharing.clock.now()).await? {
                *node.held.lock().await = Some(lease);
                return Ok(node);
            }
            tokio::time::sleep(NAME_TRY_INTERVAL).await;
        }
        Err(OpenError::NameHeld {
            name: node.name,
            seconds: sharing.takeover_after.as_secs(),
        })
    }

    /// Takes or renews the lease of the node's own name.
    async fn hold(
        &self,
        store: &Store,
        sharing: &Sharing,
        now: Timestamp,
    ) -> Result<Option<Lease>, StoreError> {
        let name = lease_name(&self.name);
        store
            .acquire(&name, &sharing.place, sharing.takeover_after, now)
            .await
    }

    /// Renews the hold on the name when a third of its time is gone, and then
    /// looks for nodes that are no more.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if store or journal fail; all is tried again at the next look.
    pub(crate) async fn look_after(&self, parts: &Parts) -> Result<(), OpenError> {
        let Some(sharing) = &self.sharing else {
            return Ok(());
        };
        let now = sharing.clock.now();
        let mut held = self.held.lock().await;
        let before = held.as_ref().map(|lease| lease.expires);
        if before.is_some_and(|expires| expires > now.after(sharing.takeover_after / 3 * 2)) {
            return Ok(());
        }
        *held = self.hold(&parts.store, sharing, now).await?;
        if held.is_none() {
            tracing::error!(
                node = self.name,
                "another process has this node's name: it is writing records that this node seemed to have left, \
                 or serves from a copy of its data directory"
            );
        }
        // Who was itself out of reach gives the others time to show themselves.
        if held.is_none() || before.is_none_or(|expires| expires <= now) {
            return Ok(());
        }
        self.make_up_for_the_dead(parts, sharing).await
    }

    /// Writes the records of every node whose lease has lapsed.
    async fn make_up_for_the_dead(&self, parts: &Parts, sharing: &Sharing) -> Result<(), OpenError> {
        let mut after = None;
        for _ in 0..NODES_LOOKED_AT_MAX {
            let Some(name) = intent::next_node(&parts.store, after.as_deref()).await? else {
                return Ok(());
            };
            if name != self.name {
                self.make_up_for(parts, &name, &sharing.clock).await?;
            }
            after = Some(name);
        }
        Ok(())
    }

    async fn make_up_for(&self, parts: &Parts, dead: &str, clock: &Clock) -> Result<(), OpenError> {
        let holder = format!("taken over by {}", self.name);
        let mut lease = parts
            .store
            .acquire(&lease_name(dead), &holder, JOB_LEASE, clock.now())
            .await?;
        let mut records = 0;
        while let Some(held) = lease {
            match intent::take_over_page(parts, dead, &held).await {
                Ok(0) => {
                    parts.store.release(&held).await?;
                    if records > 0 {
                        tracing::warn!(node = dead, records, "wrote the records of a node that is gone");
                    }
                    return Ok(());
                }
                Ok(written) => records += written,
                // Something changed below: the node came back, or another was first. What is
                // written stays, and the lease tells who goes on.
                Err(OpenError::Store(StoreError::Conflict)) => {}
                Err(error) => return Err(error),
            }
            lease = parts.store.renew(&held, JOB_LEASE, clock.now()).await?;
        }
        Ok(())
    }

    /// Gives the name back, for the next process to take at once.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; the lease lapses by itself then.
    pub(crate) async fn leave(&self, store: &Store) -> Result<(), StoreError> {
        match self.held.lock().await.take() {
            Some(lease) => store.release(&lease).await,
            None => Ok(()),
        }
    }
}

/// How the names of the leases begin that nodes hold while they live.
pub(crate) const NODE_LEASE_PREFIX: &str = "node/";

fn lease_name(node: &str) -> String {
    format!("{NODE_LEASE_PREFIX}{node}")
}
