//! The ring of roots as the store keeps it, and who knows it.
//!
//! The ring is a row, sealed under the key that slots wrap: so it is on disk with
//! the first row that needs it, every node of a shared store reads the same one,
//! and a backup holds the ring of its rows. A store without the row has one root.
//!
//! Before a new root becomes current, every node that lives has said that it
//! knows it ([`every_node_knows`]). A node says so in the transaction in which it
//! reads the ring, while it holds the lease on its name and before it serves.
//!
//! A node that was out of reach for longer than its lease lasts is not waited for. It
//! cannot write by a ring that has changed meanwhile: every write of a shared
//! store depends on the ring's row ([`fence`]).
//!
//! Invariant: what a store's rows are sealed under is never guessed. Rows of
//! another root key are refused, and so is a store that once had a ring and has
//! lost it.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto::hierarchy::{Ring, RootKey};
use serde::{Deserialize, Serialize};
use store::{Prefix, Scope, Store, StoreError, Table, WriteTx};

use crate::limits::NODES_LOOKED_AT_MAX;
use crate::node::{NODE_LEASE_PREFIX, Node};
use crate::reseal::PASS;

const RING: Table<(), Sealed> = Table::new("gate/root-ring", 1);

/// By name of the node.
const KNOWN: Table<String, Known> = Table::new("gate/root-ring-known", 1);

/// What tells under which root key the rows of a store are sealed. Once there is
/// a ring it is spelled so that a release without rings refuses the store.
const SEALED_UNDER: Table<(), String> = Table::new("palisade/sealed-under", 1);

const WITH_RING: &str = "ring ";

/// The tables without which rows open no more: whoever empties a store keeps them.
pub const KEPT_TABLES: [&str; 4] = [RING.name(), KNOWN.name(), PASS.name(), SEALED_UNDER.name()];

#[derive(Serialize, Deserialize)]
struct Sealed {
    generation: u64,
    /// Base64.
    ring: String,
}

/// What a node knows.
#[derive(Serialize, Deserialize)]
struct Known {
    generation: u64,
}

/// Why a store's ring is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum RingFault {
    /// The rows were sealed under another root key.
    #[error(
        "the store belongs to another root key: what is in it could not be opened. Give the data directory \
         that was initialised with it, or a store of its own"
    )]
    Foreign,
    /// Rows are sealed under roots that are not there.
    #[error(
        "the store has lost the ring of its root keys, without which its rows do not open; restore a backup"
    )]
    Lost,
    /// The store cannot be read.
    #[error("the store cannot be read")]
    Store(#[from] StoreError),
    /// The ring's row was changed.
    #[error("the ring of root keys in the store was changed by something else than this program")]
    Tampered,
}

/// Marks a fresh store as sealed under `root_key`, or gives `root_key` the ring of
/// one that is there; before anything is written that its owner could not open.
///
/// # Errors
///
/// [`RingFault`], and nothing was written.
pub async fn open_ring(store: &Store, root_key: &RootKey) -> Result<(), RingFault> {
    let own: String = root_key
        .check_value("store")
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let sealed = store
        .transact(&Scope::global(), async |tx| {
            let sealed = tx.get(&RING, &()).await?;
            match tx.get(&SEALED_UNDER, &()).await? {
                None if sealed.is_some() => tx.put(&SEALED_UNDER, &(), &format!("{WITH_RING}{own}")),
                None => tx.put(&SEALED_UNDER, &(), &own),
                Some(found) => {
                    let with_ring = found.strip_prefix(WITH_RING);
                    if with_ring.unwrap_or(&found) != own {
                        return Err(RingFault::Foreign);
                    }
                    if with_ring.is_some() && sealed.is_none() {
                        return Err(RingFault::Lost);
                    }
                }
            }
            Ok(sealed)
        })
        .await?;
    adopt(root_key, sealed.as_deref())
}

fn adopt(root_key: &RootKey, sealed: Option<&Sealed>) -> Result<(), RingFault> {
    let Some(sealed) = sealed else { return Ok(()) };
    if sealed.generation > root_key.ring_generation() {
        let bytes = STANDARD.decode(&sealed.ring).map_err(|_| RingFault::Tampered)?;
        let ring = root_key.open_ring(sealed.generation, &bytes);
        let ring = ring.map_err(|_| RingFault::Tampered)?;
        if root_key.adopt(ring) {
            let ring = root_key.ring();
            tracing::info!(
                generation = ring.generation(),
                current = ring.current(),
                "the ring of root keys was read"
            );
        }
    }
    Ok(())
}

/// Reads the ring again if it has changed. A node that shares its store says which
/// one it knows.
///
/// # Errors
///
/// [`RingFault`]; it is tried again at the next look.
pub(crate) async fn follow(store: &Store, root_key: &RootKey, node: &Node) -> Result<(), RingFault> {
    let view = store.view(Scope::global());
    let sealed = view.peek(&RING, &()).await?;
    let found = sealed.as_ref().map_or(0, |sealed| sealed.generation);
    if found <= root_key.ring_generation() && node.has_told(found) {
        return Ok(());
    }
    tell(store, root_key, node).await
}

/// Reads the ring and, of a node that shares its store, says so in the same
/// transaction: whoever is to wait for this node sees it, or is seen by it.
///
/// # Errors
///
/// As [`follow`].
pub(crate) async fn tell(store: &Store, root_key: &RootKey, node: &Node) -> Result<(), RingFault> {
    let name = node.shared_name().map(str::to_owned);
    let sealed: Option<Arc<Sealed>> = store
        .transact(&Scope::global(), async |tx| {
            let sealed = tx.get(&RING, &()).await?;
            if let Some(name) = &name {
                let generation = sealed.as_ref().map_or(0, |sealed| sealed.generation);
                // Known before it is said to be, even if the commit fails.
                adopt(root_key, sealed.as_deref())?;
                tx.put(&KNOWN, name, &Known { generation });
            }
            Ok::<_, RingFault>(sealed)
        })
        .await?;
    adopt(root_key, sealed.as_deref())?;
    node.told(sealed.map_or(0, |sealed| sealed.generation));
    Ok(())
}

/// Binds a write to the ring of this generation: it fails if the store's is another,
/// now or when it commits. A newer one is adopted, so that the next try goes by it.
///
/// # Errors
///
/// [`StoreError::Conflict`] if it is another.
pub(crate) async fn fence(tx: &WriteTx, root_key: &RootKey, generation: u64) -> Result<(), StoreError> {
    let sealed = tx.cross_account_get(&Scope::global(), &RING, &()).await?;
    let found = sealed.as_ref().map_or(0, |sealed| sealed.generation);
    if found == generation && root_key.ring_generation() == generation {
        return Ok(());
    }
    if let Err(error) = adopt(root_key, sealed.as_deref()) {
        tracing::error!(%error, "the ring of root keys cannot be read");
    }
    Err(StoreError::Conflict)
}

/// The nodes that live and have not said that they know `generation`: one of a
/// release without rings never does, and holds a rotation up until it is gone. To
/// be asked within the transaction that depends on it.
///
/// # Errors
///
/// [`StoreError`].
pub(crate) async fn who_lags(tx: &WriteTx, node: &Node, generation: u64) -> Result<Vec<String>, StoreError> {
    let Some(now) = node.shared_now() else {
        return Ok(Vec::new());
    };
    // Whoever takes its name after this has yet to say what it knows, and says so in
    // a transaction that this one cannot miss.
    let living = tx.view().store().held(NODE_LEASE_PREFIX, now).await?;
    let mut knowing = BTreeSet::new();
    let mut after = None;
    loop {
        let page = tx
            .cross_account_scan(
                &Scope::global(),
                &KNOWN,
                &Prefix::all(),
                after.as_ref(),
                NODES_LOOKED_AT_MAX,
            )
            .await?;
        let known = page.items.into_iter();
        knowing.extend(known.filter_map(|(name, known)| (known.generation >= generation).then_some(name)));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let names = living
        .iter()
        .filter_map(|lease| lease.strip_prefix(NODE_LEASE_PREFIX));
    Ok(names
        .filter(|name| !knowing.contains(*name))
        .map(str::to_owned)
        .collect())
}

/// Writes a changed ring, on condition that the one it was made of still stands.
///
/// # Errors
///
/// [`StoreError::Conflict`] if it does not.
pub(crate) async fn put(
    tx: &WriteTx,
    root_key: &RootKey,
    random: &crypto::Random,
    ring: &Ring,
) -> Result<(), StoreError> {
    let global = Scope::global();
    let found = tx.cross_account_get(&global, &RING, &()).await?;
    let found = found.map_or(0, |sealed| sealed.generation);
    if found.checked_add(1) != Some(ring.generation()) {
        return Err(StoreError::Conflict);
    }
    let sealed = root_key
        .seal_ring(ring, random)
        .map_err(|error| StoreError::Unwritable {
            table: RING.name(),
            reason: error.to_string(),
        })?;
    let row = Sealed {
        generation: ring.generation(),
        ring: STANDARD.encode(sealed),
    };
    tx.cross_account_put(&global, &RING, &(), &row);
    let marked = tx.cross_account_get(&global, &SEALED_UNDER, &()).await?;
    if let Some(marked) = marked
        && !marked.starts_with(WITH_RING)
    {
        let marked = format!("{WITH_RING}{}", *marked);
        tx.cross_account_put(&global, &SEALED_UNDER, &(), &marked);
    }
    Ok(())
}
