//! What organisations lay over accounts: what the door asks in every decision.
//!
//! An answer is kept in memory with the generation as it stood before it was
//! put together, and serves only while that generation stands: every change of
//! an organisation changes it in the same commit, so an answer given after an
//! acknowledged change is never older than it. (Other nodes of a shared store
//! follow within the store's staleness limit.) Where there has never been an
//! organisation, that one look is all.

use std::sync::{Arc, PoisonError, RwLock};

use futures_util::future::BoxFuture;
use gate::{AtHand, Guardrails, Membership, ServiceAccess, Standing};
use ground::AccountId;
use quick_cache::sync::Cache;
use store::{Scope, Store, StoreError, View, Witness};

use crate::limits::{ASSEMBLY_ATTEMPTS, STANDINGS_CACHED};
use crate::model::{Generation, Node, PolicyKind};
use crate::store::{DELEGATIONS, GENERATION, Rows, TRUSTED};

/// Organisations, for the door.
pub struct Organizations {
    store: Store,
    /// Of what all accounts share, to look at the generation and nothing else.
    shared: View,
    seen: RwLock<Option<Seen>>,
    standings: Cache<AccountId, (Generation, Arc<Standing>)>,
    outside: Arc<Standing>,
}

/// The generation as it was read last, while it stands.
struct Seen {
    generation: Option<Generation>,
    witness: Witness,
}

impl Organizations {
    /// Organisations over the rows of `store`.
    pub fn new(store: Store) -> Organizations {
        Organizations {
            shared: store.view(Scope::global()),
            store,
            seen: RwLock::default(),
            standings: Cache::new(STANDINGS_CACHED),
            outside: Arc::default(),
        }
    }

    async fn generation(&self) -> Result<Option<Generation>, StoreError> {
        let (generation, witness) = self.shared.peek_witnessed(&GENERATION, &()).await?;
        let generation = generation.map(|generation| *generation);
        *self.seen.write().unwrap_or_else(PoisonError::into_inner) = Some(Seen { generation, witness });
        Ok(generation)
    }

    /// What is over `account`, if that needs no reading.
    fn known(&self, account: AccountId) -> Option<Arc<Standing>> {
        let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
        let seen = seen.as_ref().filter(|seen| seen.witness.holds())?;
        let Some(generation) = seen.generation else {
            return Some(Arc::clone(&self.outside));
        };
        let (as_of, standing) = self.standings.get(&account)?;
        (as_of == generation).then_some(standing)
    }

    async fn standing(&self, account: AccountId) -> Result<Arc<Standing>, StoreError> {
        let Some(mut generation) = self.generation().await? else {
            return Ok(Arc::clone(&self.outside));
        };
        if let Some((as_of, standing)) = self.standings.get(&account)
            && as_of == generation
        {
            return Ok(standing);
        }
        for _ in 0..ASSEMBLY_ATTEMPTS {
            let assembled = self.assemble(account).await;
            // Rows read before and after a change must not be mixed, nor
            // what is missing between the two be taken for lost.
            match self.generation().await? {
                Some(after) if after != generation => generation = after,
                Some(_) | None => {
                    let standing = Arc::new(assembled?);
                    self.standings
                        .insert(account, (generation, Arc::clone(&standing)));
                    return Ok(standing);
                }
            }
        }
        Err(StoreError::Conflict)
    }

    async fn assemble(&self, account: AccountId) -> Result<Standing, StoreError> {
        let view = self.store.view(Scope::regionless(account));
        let Some(rows) = Rows::of(&view, account).await? else {
            return Ok(Standing::default());
        };
        let management = rows.organization().management;
        let way = rows.way_down(&Node::Account(account)).await?;
        let membership = Membership {
            organization: rows.organization().id.clone(),
            path: rows.path(&way),
            management,
        };
        let bound = account != management;
        let levels = async |kind| {
            if bound {
                rows.levels(&way, kind).await
            } else {
                Ok(None)
            }
        };
        Ok(Standing {
            membership: Some(membership),
            service_control: levels(PolicyKind::ServiceControl).await?,
            resource_control: levels(PolicyKind::ResourceControl).await?,
        })
    }
}

impl Guardrails for Organizations {
    fn over(&self, account: AccountId) -> AtHand<'_, Result<Arc<Standing>, StoreError>> {
        match self.known(account) {
            Some(standing) => AtHand::Now(Ok(standing)),
            None => AtHand::Later(Box::pin(self.standing(account))),
        }
    }

    fn service_access<'a>(
        &'a self,
        account: AccountId,
        service: &'a str,
    ) -> BoxFuture<'a, Result<ServiceAccess, StoreError>> {
        Box::pin(async move {
            let view = self.store.view(Scope::regionless(account));
            let Some(rows) = Rows::of(&view, account).await? else {
                return Ok(ServiceAccess::default());
            };
            let delegation = (account, service.to_owned());
            Ok(ServiceAccess {
                trusted: rows.get(&TRUSTED, &delegation.1).await?.is_some(),
                delegated: rows.get(&DELEGATIONS, &delegation).await?.is_some(),
            })
        })
    }
}
