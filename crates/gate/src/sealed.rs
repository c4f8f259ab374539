//! What is sealed under domain keys, and where it lies: declared, purpose by
//! purpose, by whoever seals it.
//!
//! Each service lists its own ([`crate::Table::seals`]); the door's own stand here.
//! A purpose that nobody declared gets no key, so that no value can be made which
//! a new root key would not reach: rows are sealed again column by column
//! ([`crate::reseal`]), and what callers carry away is waited for.
//!
//! Absent by design: finding sealed values by looking at rows. Only their owner
//! knows what a value is bound to.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto::hierarchy::RootKey;
use crypto::{DomainKey, Random};
use futures_util::future::BoxFuture;
use ground::{AccountId, Region};
use store::{Key, Prefix, Record, Scope, StoreError, Table, WriteTx};

use crate::encoded;
use crate::limits::{REFUSAL_NEEDED, ROWS_RESEALED_AT_ONCE};
use crate::reseal::{self, Pass};
use crate::table::Service;

/// What the door itself seals.
pub(crate) fn own() -> Vec<Sealed> {
    vec![Sealed::carried(encoded::SEALED_FOR, REFUSAL_NEEDED)]
}

/// What is sealed for one purpose, in one place.
pub struct Sealed {
    pub(crate) purpose: &'static str,
    pub(crate) place: Place,
}

pub(crate) enum Place {
    /// With callers, in no row, and of no use after this time.
    Carried(Duration),
    /// In the rows of a table.
    Column(Box<dyn Column>),
}

/// What sealing a row again found.
#[derive(Debug, thiserror::Error)]
pub enum ResealError {
    /// The value does not open.
    #[error("the sealed value does not open")]
    Crypto(#[from] crypto::Error),
    /// The row is not where its table has rows, or lacks what it needs.
    #[error("the row is not whole: {0}")]
    Incomplete(&'static str),
    /// Another node goes on with the pass, or an order changed it.
    #[error("the pass is another's now")]
    Overtaken,
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

/// A row with every sealed value under the current root; `None` if they are already.
pub type Resealed<'a, V> = BoxFuture<'a, Result<Option<V>, ResealError>>;

/// Seals the values of a row again.
type Reseal<K, V> = for<'a> fn(&'a Resealing<'a>, &'a K, &'a V) -> Resealed<'a, V>;

impl Sealed {
    /// Rows of `table` hold values sealed for `purpose`, which `reseal` seals again.
    pub fn column<K: Key + Clone, V: Record>(
        purpose: &'static str,
        table: &'static Table<K, V>,
        reseal: Reseal<K, V>,
    ) -> Sealed {
        Sealed {
            purpose,
            place: Place::Column(Box::new(TypedColumn {
                purpose,
                table,
                reseal,
            })),
        }
    }

    /// Values sealed for `purpose` are in no row: callers carry them, and they are
    /// of no use after `needed`.
    pub fn carried(purpose: &'static str, needed: Duration) -> Sealed {
        Sealed {
            purpose,
            place: Place::Carried(needed),
        }
    }

    /// The purpose of the domain key.
    pub fn purpose(&self) -> &'static str {
        self.purpose
    }

    /// The table whose rows hold such values; `None` of what callers carry.
    pub fn table(&self) -> Option<&'static str> {
        match &self.place {
            Place::Carried(_) => None,
            Place::Column(column) => Some(column.table()),
        }
    }
}

/// Everything that is declared.
pub(crate) struct Declared {
    purposes: BTreeSet<&'static str>,
    own: Vec<Sealed>,
}

impl Declared {
    /// # Panics
    ///
    /// If a table is declared twice: a walk goes by tables.
    pub(crate) fn by(services: &[Service]) -> Declared {
        let own = own();
        let theirs = services.iter().flat_map(|service| &service.seals);
        let mut tables = BTreeSet::new();
        let mut purposes = BTreeSet::new();
        for sealed in own.iter().chain(theirs) {
            purposes.insert(sealed.purpose);
            if let Some(table) = sealed.table() {
                assert!(tables.insert(table), "{table} is declared twice");
            }
        }
        Declared { purposes, own }
    }

    /// The key of a purpose that is declared.
    ///
    /// # Panics
    ///
    /// If it is not: what it seals would be lost with its root.
    pub(crate) fn domain_key(
        &self,
        root_key: &RootKey,
        account: AccountId,
        region: &Region,
        purpose: &'static str,
    ) -> DomainKey {
        assert!(
            self.purposes.contains(purpose),
            "{purpose} is sealed for, and no service declares where"
        );
        root_key.domain(account, region, purpose)
    }

    /// Everything declared, the door's own first.
    pub(crate) fn all<'a>(&'a self, services: &'a [Service]) -> impl Iterator<Item = &'a Sealed> {
        self.own
            .iter()
            .chain(services.iter().flat_map(|service| &service.seals))
    }
}

/// A row that is being sealed again.
pub struct Resealing<'a> {
    root_key: &'a RootKey,
    random: &'a Random,
    purpose: &'static str,
    scope: &'a Scope,
    tx: &'a WriteTx,
}

impl Resealing<'_> {
    /// The account whose row it is.
    ///
    /// # Errors
    ///
    /// [`ResealError::Incomplete`] of a row of no account.
    pub fn account(&self) -> Result<AccountId, ResealError> {
        self.scope
            .account()
            .ok_or(ResealError::Incomplete("it is of no account"))
    }

    /// The key that sealed the row's values, for the purpose of the column.
    pub fn domain(&self, account: AccountId, region: &Region) -> DomainKey {
        self.root_key.domain(account, region, self.purpose)
    }

    /// Randomness.
    pub fn random(&self) -> &Random {
        self.random
    }

    /// The transaction, for whoever must read another row.
    pub fn tx(&self) -> &WriteTx {
        self.tx
    }

    /// A value in base64, sealed again; `None` if it is under the current root.
    ///
    /// # Errors
    ///
    /// [`crypto::Error`] if it does not open.
    pub fn text(
        &self,
        domain: &DomainKey,
        bound_to: &[&[u8]],
        sealed: &str,
    ) -> Result<Option<String>, crypto::Error> {
        let sealed = STANDARD
            .decode(sealed)
            .map_err(|_| crypto::Error::BadCiphertext)?;
        let fresh = domain.reseal(bound_to, &sealed, self.random)?;
        Ok(fresh.map(|fresh| STANDARD.encode(fresh)))
    }
}

/// What became of some rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) seen: u64,
    pub(crate) resealed: u64,
    pub(crate) unreadable: u64,
}

/// What a page of rows is sealed again with.
pub(crate) struct Page<'a> {
    pub(crate) store: &'a store::Store,
    pub(crate) root_key: &'a RootKey,
    pub(crate) random: &'a Random,
    pub(crate) scope: &'a Scope,
    /// The encoded key of the last row that is done.
    pub(crate) after: Option<&'a [u8]>,
    /// The pass it belongs to, which must still be the newest.
    pub(crate) pass: &'a Pass,
    /// Where the pass goes on if no more rows follow.
    pub(crate) done: &'a reseal::Place,
}

/// A column with its types forgotten.
pub(crate) trait Column: Send + Sync {
    fn table(&self) -> &'static str;

    /// Seals the next rows again and writes how far the pass is, in one
    /// transaction; gives the pass as written. Without rows nothing is written.
    fn page<'a>(&'a self, page: &'a Page<'a>) -> BoxFuture<'a, Result<Option<Pass>, ResealError>>;
}

struct TypedColumn<K: 'static, V: 'static> {
    purpose: &'static str,
    table: &'static Table<K, V>,
    reseal: Reseal<K, V>,
}

impl<K: Key + Clone, V: Record> TypedColumn<K, V> {
    async fn next(&self, page: &Page<'_>) -> Result<Option<Pass>, ResealError> {
        let after = page.after.and_then(K::decode);
        // What is scanned conditions nothing: a row that comes or goes meanwhile
        // is sealed by the current root, or gone.
        let view = page.store.view(page.scope.clone());
        let found = view
            .scan(self.table, &Prefix::all(), after.as_ref(), ROWS_RESEALED_AT_ONCE)
            .await?;
        if found.items.is_empty() {
            return Ok(None);
        }
        let keys: Vec<K> = found.items.into_iter().map(|(key, _)| key).collect();
        let at = match found.next {
            Some(last) => {
                let mut row = Vec::new();
                last.encode(&mut row);
                reseal::Place::behind(page.scope, self.table.name(), &row)
            }
            None => page.done.clone(),
        };
        let mut attempts = 0;
        loop {
            let tx = view.store().view(page.scope.clone()).begin();
            let tally = self.rows(page, &keys, &tx).await?;
            let further = page.pass.further(tally, at.clone());
            reseal::keep(&tx, page.pass, &further).await?;
            match page.store.commit(tx).await {
                Ok(_) => return Ok(Some(further)),
                // Whoever changed a row has sealed it anew, or will be asked again.
                Err(StoreError::Conflict) if attempts < store::limits::TRANSACT_ATTEMPTS => attempts += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn rows(&self, page: &Page<'_>, keys: &[K], tx: &WriteTx) -> Result<Tally, ResealError> {
        let resealing = Resealing {
            root_key: page.root_key,
            random: page.random,
            purpose: self.purpose,
            scope: page.scope,
            tx,
        };
        let mut tally = Tally::default();
        for key in keys {
            let Some(row) = tx.get(self.table, key).await? else {
                continue;
            };
            tally.seen += 1;
            match (self.reseal)(&resealing, key, &row).await {
                Ok(None) => {}
                Ok(Some(fresh)) => {
                    tx.put(self.table, key, &fresh);
                    tally.resealed += 1;
                }
                Err(error @ (ResealError::Store(_) | ResealError::Overtaken)) => return Err(error),
                Err(error @ (ResealError::Crypto(_) | ResealError::Incomplete(_))) => {
                    tracing::error!(table = self.table.name(), scope = %page.scope, %error, "a row cannot be sealed again");
                    tally.unreadable += 1;
                }
            }
        }
        Ok(tally)
    }
}

impl<K: Key + Clone, V: Record> Column for TypedColumn<K, V> {
    fn table(&self) -> &'static str {
        self.table.name()
    }

    fn page<'a>(&'a self, page: &'a Page<'a>) -> BoxFuture<'a, Result<Option<Pass>, ResealError>> {
        Box::pin(self.next(page))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain_key(purpose: &'static str) {
        let root_key = RootKey::generate(&Random::seeded(1));
        let account = AccountId::parse("123456789012").expect("it is one");
        let declared = Declared::by(&[]);
        declared.domain_key(&root_key, account, &Region::us_east_1(), purpose);
    }

    #[test]
    fn what_is_declared_gets_a_key() {
        domain_key(encoded::SEALED_FOR);
    }

    #[test]
    #[should_panic(expected = "no service declares where")]
    fn what_nobody_declares_gets_none() {
        domain_key("test/undeclared");
    }
}
