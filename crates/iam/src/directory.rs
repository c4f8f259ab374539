//! Who presents a credential, and which policies bind them: what the door asks.
//!
//! Both answers are kept in memory with the account's generation as it stood
//! before they were put together, and serve only while that generation
//! stands: every change of the account's identities changes it in the same
//! commit, so an answer given after an acknowledged change is never older
//! than it. (Other nodes of a shared store follow within the store's
//! staleness limit.)
//!
//! Absent by design: what stands over whole accounts, which belongs to
//! `organizations`.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use crypto::RootKey;
use futures_util::future::BoxFuture;
use gate::{
    AtHand, Caller, CallerPolicies, Credential, CredentialFault, Directory, NewAccount, Presented, Session,
    SessionIssuer, TokenIssuer, Use, WebIdentity,
};
use ground::{AccountId, Arn, Region, Timestamp, id};
use policy::{Principal, Who};
use quick_cache::sync::Cache;
use store::{Scope, Store, StoreError, View, Witness, WriteTx};

use crate::last_used::LastUses;
use crate::limits::{CREDENTIALS_CACHED, PRINCIPALS_CACHED, ROLE_SESSION_DEFAULT_SECONDS};
use crate::model::Generation;
use crate::new_account;
use crate::ops::access_key;
use crate::ops::outbound_federation;
use crate::ops::simulate::of_entity;
use crate::store::{
    ACCESS_KEYS, ACCOUNT, Entity, GENERATION, cross_account_key_owner, cross_account_token_issuer, rows_of,
};
use crate::sts::token;

use policies::{Kind, assemble, of_root_federation};
use session::{Life, principal_tags, session_policies, session_principal};

pub(crate) mod policies;
pub(crate) mod session;

/// How often policies are put together anew because the account changed meanwhile.
const ASSEMBLY_ATTEMPTS: u32 = 8;

/// Identity, for the door.
pub struct Identities {
    store: Store,
    root_key: Arc<RootKey>,
    /// Long-term credentials by access key id.
    keys: Cache<String, Arc<Known>>,
    /// Temporary credentials by digest of access key id and token.
    sessions: Cache<[u8; 32], Arc<Known>>,
    /// Policies by unique id of the user or role.
    policies: Cache<String, Arc<Assembled>>,
    uses: Arc<LastUses>,
}

/// A credential that was looked up.
struct Known {
    credential: Arc<Credential>,
    /// `None` for long-term credentials.
    life: Option<Life>,
    as_of: AsOf,
}

struct Assembled {
    policies: Arc<CallerPolicies>,
    as_of: AsOf,
}

/// The generation of an account under which something was put together.
struct AsOf {
    /// `None` before the account's first change.
    generation: Option<Generation>,
    witness: Witness,
}

impl AsOf {
    async fn now(view: &View) -> Result<AsOf, StoreError> {
        let (generation, witness) = view.peek_witnessed(&GENERATION, &()).await?;
        Ok(AsOf {
            generation: generation.map(|generation| *generation),
            witness,
        })
    }

    /// Whether it certainly stands, without reading anything.
    fn holds(&self) -> bool {
        self.witness.holds()
    }

    /// The same generation as read just now; `None` if it is another one.
    async fn renewed(&self, view: &View) -> Result<Option<AsOf>, StoreError> {
        let now = AsOf::now(view).await?;
        Ok((now.generation == self.generation).then_some(now))
    }
}

impl Identities {
    /// Identity over the rows of `store`, whose secrets are sealed below `root_key`.
    pub fn new(store: Store, root_key: Arc<RootKey>) -> Identities {
        Identities {
            store,
            root_key,
            keys: Cache::new(CREDENTIALS_CACHED),
            sessions: Cache::new(CREDENTIALS_CACHED),
            policies: Cache::new(PRINCIPALS_CACHED),
            uses: Arc::default(),
        }
    }

    /// What is used, for [`crate::service`] to tell and to write down.
    pub fn last_uses(&self) -> Arc<LastUses> {
        Arc::clone(&self.uses)
    }

    fn view(&self, account: AccountId) -> View {
        self.store.view(Scope::regionless(account))
    }

    /// Temporary credentials are kept by this: a token is opened anew once the ring of
    /// root keys has changed, for the root that sealed it may be gone.
    fn digest(&self, key_id: &str, session_token: &str) -> [u8; 32] {
        let generation = self.root_key.ring_generation().to_be_bytes();
        crypto::sha256(&[&generation, key_id.as_bytes(), &[0], session_token.as_bytes()])
    }

    /// The policies of the user or role with this unique id, if that needs no reading.
    fn policies_at_hand(&self, id: &str) -> Option<Arc<CallerPolicies>> {
        let assembled = self.policies.get(id)?;
        assembled.as_of.holds().then(|| Arc::clone(&assembled.policies))
    }

    /// The credential presented, if that needs no reading.
    fn credential_at_hand(
        &self,
        presented: &Presented<'_>,
    ) -> Option<Result<Arc<Credential>, CredentialFault>> {
        let known = match presented.session_token {
            None => self.keys.get(presented.access_key_id),
            Some(token) => self.sessions.get(&self.digest(presented.access_key_id, token)),
        };
        let known = known.filter(|known| known.as_of.holds())?;
        Some(known.at(presented.now))
    }

    async fn long_term(&self, key_id: &str, now: Timestamp) -> Result<Arc<Credential>, CredentialFault> {
        if let Some(known) = self.keys.get(key_id)
            && let Some(renewed) = known.renewed(self).await?
        {
            self.keys.insert(key_id.to_owned(), Arc::clone(&renewed));
            return renewed.at(now);
        }
        let shared = self.store.view(Scope::global());
        let owner = cross_account_key_owner(&shared, key_id)
            .await?
            .ok_or(CredentialFault::Invalid)?;
        let account = owner.account;
        let view = self.view(account);
        let as_of = AsOf::now(&view).await?;
        let rows = rows_of(&view, account);
        let key = rows
            .get(&ACCESS_KEYS, &(owner.owner_id.clone(), key_id.to_owned()))
            .await?;
        let key = key.filter(|key| key.active).ok_or(CredentialFault::Invalid)?;
        if !rows.is_open().await? {
            return Err(CredentialFault::Invalid);
        }
        let principal = if owner.owner_id == account.to_string() {
            Principal::root(account)
        } else {
            let user = rows
                .user_by_id(&owner.owner_id)
                .await?
                .ok_or(CredentialFault::Invalid)?;
            let keys = principal_tags(user.tags.iter());
            Principal::user(account, &user.id, &user.path, &user.name).with_keys(keys)
        };
        let domain = self
            .root_key
            .domain(account, &Region::us_east_1(), access_key::SEALED_FOR);
        let secret = access_key::opened(&domain, account, &key).map_err(|_| unreadable_key())?;
        let caller = Arc::new(Caller::new(principal, account, key_id.to_owned(), None));
        let credential = Arc::new(Credential::new(key_id.to_owned(), secret, caller));
        let known = Known {
            credential: Arc::clone(&credential),
            life: None,
            as_of,
        };
        self.keys.insert(key_id.to_owned(), Arc::new(known));
        Ok(credential)
    }

    async fn temporary(
        &self,
        key_id: &str,
        session_token: &str,
        now: Timestamp,
    ) -> Result<Arc<Credential>, CredentialFault> {
        let digest = self.digest(key_id, session_token);
        if let Some(known) = self.sessions.get(&digest)
            && let Some(renewed) = known.renewed(self).await?
        {
            self.sessions.insert(digest, Arc::clone(&renewed));
            return renewed.at(now);
        }
        let account = id::account_of_access_key(key_id).ok_or(CredentialFault::Invalid)?;
        let domain = self
            .root_key
            .domain(account, &Region::us_east_1(), token::SEALED_FOR);
        let claims = token::open(&domain, key_id, session_token).ok_or(CredentialFault::Invalid)?;
        let life = Life {
            issued: claims.issued,
            expires: claims.expires,
        };
        life.holds(now)?;

        let view = self.view(account);
        let as_of = AsOf::now(&view).await?;
        let rows = rows_of(&view, account);
        if !rows.is_open().await? {
            return Err(CredentialFault::Invalid);
        }
        let (principal, issuer) = session_principal(&rows, &claims)
            .await?
            .ok_or(CredentialFault::Invalid)?;
        let session = Session {
            issued: claims.issued,
            expires: claims.expires,
            mfa: claims.mfa,
            issuer,
            source_identity: claims.source_identity.clone(),
            policies: session_policies(&rows, &claims).await?,
            web_identity: claims
                .federated
                .as_ref()
                .filter(|it| it.is_web)
                .map(|it| WebIdentity {
                    provider: it.provider.clone(),
                    attributes: it.keys.clone(),
                }),
        };
        let caller = Arc::new(Caller::new(principal, account, key_id.to_owned(), Some(session)));
        let credential = Arc::new(Credential::new(key_id.to_owned(), claims.secret.0, caller));
        let known = Known {
            credential: Arc::clone(&credential),
            life: Some(life),
            as_of,
        };
        self.sessions.insert(digest, Arc::new(known));
        Ok(credential)
    }

    /// Whoever this ARN names, as a caller without credentials.
    async fn supposed_caller(
        &self,
        arn: &str,
        session: &str,
        now: Timestamp,
    ) -> Result<Option<Caller>, StoreError> {
        let Some(account) = Arn::parse(arn).ok().and_then(|arn| arn.account_id()) else {
            return Ok(None);
        };
        let view = self.view(account);
        let rows = rows_of(&view, account);
        if !rows.is_open().await? {
            return Ok(None);
        }
        let root = Principal::root(account);
        if root.arn() == arn {
            return Ok(Some(Caller::new(root, account, String::new(), None)));
        }
        let Some(entity) = rows.principal(arn).await? else {
            return Ok(None);
        };
        let principal = of_entity(account, &entity, session);
        let Entity::Role(role) = entity else {
            return Ok(Some(Caller::new(principal, account, String::new(), None)));
        };
        let mut keys = principal.keys().clone();
        keys.insert("aws:TokenIssueTime", now);
        let session = Session {
            issued: now,
            expires: now.after(Duration::from_secs(u64::from(ROLE_SESSION_DEFAULT_SECONDS))),
            mfa: None,
            issuer: Some(SessionIssuer {
                kind: "Role",
                id: role.id.clone(),
                arn: role.arn(account),
                name: role.name.clone(),
            }),
            source_identity: None,
            policies: None,
            web_identity: None,
        };
        let principal = principal.with_keys(keys);
        Ok(Some(Caller::new(
            principal,
            account,
            String::new(),
            Some(session),
        )))
    }

    async fn assembled(
        &self,
        account: AccountId,
        id: &str,
        kind: Kind,
    ) -> Result<Arc<CallerPolicies>, StoreError> {
        let view = self.view(account);
        if let Some(assembled) = self.policies.get(id)
            && let Some(as_of) = assembled.as_of.renewed(&view).await?
        {
            return Ok(self.keep(id, Arc::clone(&assembled.policies), as_of));
        }
        let mut as_of = AsOf::now(&view).await?;
        for _ in 0..ASSEMBLY_ATTEMPTS {
            let rows = rows_of(&view, account);
            let policies = Arc::new(assemble(&rows, id, kind).await?);
            // Policies read before and after a change must not be mixed.
            let after = AsOf::now(&view).await?;
            if after.generation == as_of.generation {
                return Ok(self.keep(id, policies, as_of));
            }
            as_of = after;
        }
        Err(StoreError::Conflict)
    }

    /// Keeps policies as true under the generation that they were read under.
    fn keep(&self, id: &str, policies: Arc<CallerPolicies>, as_of: AsOf) -> Arc<CallerPolicies> {
        let assembled = Assembled {
            policies: Arc::clone(&policies),
            as_of,
        };
        self.policies.insert(id.to_owned(), Arc::new(assembled));
        policies
    }
}

impl Known {
    /// The credential at a moment, if its time is not over.
    fn at(&self, now: Timestamp) -> Result<Arc<Credential>, CredentialFault> {
        if let Some(life) = self.life {
            life.holds(now)?;
        }
        Ok(Arc::clone(&self.credential))
    }

    /// The same credential under the account's generation as read just now;
    /// `None` if anything of the account changed since.
    async fn renewed(&self, identities: &Identities) -> Result<Option<Arc<Known>>, StoreError> {
        let view = identities.view(self.credential.caller.account);
        let as_of = self.as_of.renewed(&view).await?;
        Ok(as_of.map(|as_of| {
            Arc::new(Known {
                credential: Arc::clone(&self.credential),
                life: self.life,
                as_of,
            })
        }))
    }
}

impl Directory for Identities {
    fn credential<'a>(
        &'a self,
        presented: Presented<'a>,
    ) -> AtHand<'a, Result<Arc<Credential>, CredentialFault>> {
        if let Some(credential) = self.credential_at_hand(&presented) {
            return AtHand::Now(credential);
        }
        AtHand::Later(Box::pin(async move {
            let key_id = presented.access_key_id;
            match presented.session_token {
                None => self.long_term(key_id, presented.now).await,
                Some(token) => self.temporary(key_id, token, presented.now).await,
            }
        }))
    }

    fn policies<'a>(&'a self, caller: &'a Caller) -> AtHand<'a, Result<Arc<CallerPolicies>, StoreError>> {
        let (id, kind) = match caller.principal.who() {
            Who::User { id, .. } => (id.as_str(), Kind::User),
            Who::FederatedUser {
                parent: Some(parent), ..
            } => (parent.id.as_str(), Kind::User),
            Who::AssumedRole { role_id, .. } => (role_id.as_str(), Kind::Role),
            Who::FederatedUser { parent: None, .. } => return AtHand::Now(of_root_federation()),
            // The root user of an account needs no policy, and nobody else has any. It is
            // always the same nothing, so that outcomes that rest on it are known again.
            _ => {
                static NONE: LazyLock<Arc<CallerPolicies>> = LazyLock::new(Arc::default);
                return AtHand::Now(Ok(Arc::clone(&NONE)));
            }
        };
        match self.policies_at_hand(id) {
            Some(policies) => AtHand::Now(Ok(policies)),
            None => AtHand::Later(Box::pin(self.assembled(caller.account, id, kind))),
        }
    }

    fn principal_id<'a>(&'a self, arn: &'a str) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        Box::pin(async move {
            let Some(account) = Arn::parse(arn).ok().and_then(|arn| arn.account_id()) else {
                return Ok(None);
            };
            let view = self.view(account);
            let entity = rows_of(&view, account).principal(arn).await?;
            Ok(entity.map(|entity| entity.id().to_owned()))
        })
    }

    fn principal_arn<'a>(
        &'a self,
        account: AccountId,
        id: &'a str,
    ) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        Box::pin(async move { rows_of(&self.view(account), account).principal_arn(id).await })
    }

    fn account_exists(&self, account: AccountId) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(async move { Ok(self.view(account).get(&ACCOUNT, &()).await?.is_some()) })
    }

    fn supposed<'a>(
        &'a self,
        arn: &'a str,
        session: &'a str,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Option<Caller>, StoreError>> {
        Box::pin(self.supposed_caller(arn, session, now))
    }

    fn token_issuer<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<TokenIssuer>, StoreError>> {
        Box::pin(async move {
            let shared = self.store.view(Scope::global());
            let Some(account) = cross_account_token_issuer(&shared, id).await? else {
                return Ok(None);
            };
            let view = self.view(account);
            let Some(outbound) = rows_of(&view, account).outbound().await? else {
                return Ok(None);
            };
            let published = outbound_federation::published(&outbound);
            published.map(Some).map_err(|error| StoreError::BadRecord {
                table: "iam/outbound-federation",
                reason: error.to_string(),
            })
        })
    }

    fn used(&self, credential: &Credential, at: Use<'_>) {
        self.uses.note(credential, at);
    }

    fn create_account<'a>(
        &'a self,
        tx: &'a WriteTx,
        new: NewAccount<'a>,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(new_account::create(tx, new))
    }

    fn close_account<'a>(
        &'a self,
        tx: &'a WriteTx,
        account: AccountId,
        now: Timestamp,
        generation: [u8; 16],
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(new_account::close(tx, account, now, generation))
    }
}

fn unreadable_key() -> CredentialFault {
    CredentialFault::Store(StoreError::BadRecord {
        table: ACCESS_KEYS.name(),
        reason: "its secret does not open under this root key".to_owned(),
    })
}
