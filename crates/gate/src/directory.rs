//! Who the callers are and what binds them: asked of `iam`, which implements
//! [`Directory`] and is wired in by the roof.
//!
//! The door sits below every service, so it cannot name one; this trait is
//! the one thing it needs of identity.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crypto::Random;
use futures_util::future::BoxFuture;
use ground::{AccountId, Region, Secret, Timestamp};
use policy::{Attached, GrantAllow, Policies, Principal, ResourcePolicy, ResourcePolicyKind};
use store::{StoreError, WriteTx};
use wire::sigv4::{Scope, SigningKey};

use crate::at_hand::AtHand;

/// What the door asks of identity. Answers come from memory; only a miss
/// touches the store.
pub trait Directory: Send + Sync + 'static {
    /// The live credential a request presents.
    fn credential<'a>(
        &'a self,
        presented: Presented<'a>,
    ) -> AtHand<'a, Result<Arc<Credential>, CredentialFault>>;

    /// Every policy that binds the caller, as of now.
    fn policies<'a>(&'a self, caller: &'a Caller) -> AtHand<'a, Result<Arc<CallerPolicies>, StoreError>>;

    /// The unique id (`AIDA…`, `AROA…`) behind the ARN of a user or role;
    /// `None` if there is no such entity.
    fn principal_id<'a>(&'a self, arn: &'a str) -> BoxFuture<'a, Result<Option<String>, StoreError>>;

    /// The ARN that the user or role with this unique id (`AIDA…`, `AROA…`) has
    /// today; `None` if nobody in the account has it, or no longer.
    fn principal_arn<'a>(
        &'a self,
        account: AccountId,
        id: &'a str,
    ) -> BoxFuture<'a, Result<Option<String>, StoreError>>;

    /// Whether the account exists here.
    fn account_exists(&self, account: AccountId) -> BoxFuture<'_, Result<bool, StoreError>>;

    /// Who would call if the user, role or root user with this ARN did: a role
    /// by a session of that name begun at `now`, with no policy, tag or second factor of its
    /// own. `None` if there is nobody, and of a directory that cannot tell.
    fn supposed<'a>(
        &'a self,
        _arn: &'a str,
        _session: &'a str,
        _now: Timestamp,
    ) -> BoxFuture<'a, Result<Option<Caller>, StoreError>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    /// What anybody may read of an account that vouches for its principals to
    /// others, by the id in its issuer's address; `None` if no account has it.
    fn token_issuer<'a>(&'a self, _id: &'a str) -> BoxFuture<'a, Result<Option<TokenIssuer>, StoreError>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    /// Hears that a signature with this credential was proven: once a minute,
    /// action and region or little more often, so that who asks for the last use can be told, and
    /// the calls between cost nothing. Must not block.
    fn used(&self, _credential: &Credential, _at: Use<'_>) {}

    /// Adds to `tx` what makes an account that nobody has credentials of but
    /// through its one role. The account must not exist.
    fn create_account<'a>(
        &'a self,
        tx: &'a WriteTx,
        new: NewAccount<'a>,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Adds to `tx` that no credential of the account is accepted any more, and
    /// none is given out. `generation` is any value never given before.
    fn close_account<'a>(
        &'a self,
        tx: &'a WriteTx,
        account: AccountId,
        now: Timestamp,
        generation: [u8; 16],
    ) -> BoxFuture<'a, Result<(), StoreError>>;
}

/// An issuer of web identity tokens, as others see it.
#[derive(Debug, Clone)]
pub struct TokenIssuer {
    /// Its address, as tokens name it.
    pub issuer: String,
    /// Its keys (RFC 7517).
    pub keys: serde_json::Value,
    /// The algorithms of its signatures.
    pub algorithms: Vec<String>,
}

/// Where and when a credential was used.
#[derive(Debug, Clone, Copy)]
pub struct Use<'a> {
    /// The service, as signatures name it: `kms`.
    pub service: &'static str,
    /// What was asked for, as policies name it: `kms:Encrypt`; `None` if several
    /// things were. Not yet whether the caller may.
    pub action: Option<&'static str>,
    /// The region that the call acted in.
    pub region: &'a Region,
    /// The time of the request.
    pub at: Timestamp,
}

impl Use<'_> {
    /// Another number for another minute, service, action or region. What services
    /// and actions are called is in the program's tables, so where it stands there
    /// tells them apart.
    fn digest(&self) -> u64 {
        /// An odd number without a pattern, from the golden ratio.
        const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
        let mix = |sum: u64, next: u64| {
            let product = (sum ^ next).wrapping_mul(MIX);
            product ^ (product >> 29)
        };
        let text = |text: &'static str| text.as_ptr().addr() as u64;
        let minute = self.at.seconds() / 60;
        let mut digest = mix(MIX, minute.cast_unsigned());
        digest = mix(digest, text(self.service));
        digest = mix(digest, self.action.map_or(0, text));
        for piece in self.region.as_str().as_bytes().chunks(8) {
            let mut eight = [0; 8];
            eight[..piece.len()].copy_from_slice(piece);
            digest = mix(digest, u64::from_le_bytes(eight));
        }
        digest
    }
}

/// An account to be made for an organisation.
#[derive(Clone, Copy)]
pub struct NewAccount<'a> {
    /// Its id.
    pub account: AccountId,
    /// The account whose principals may assume its role.
    pub management: AccountId,
    /// The role, which may do everything.
    pub role_name: &'a str,
    /// When it is made.
    pub now: Timestamp,
    /// For the role's id.
    pub random: &'a Random,
}

/// The credential as a request names it.
#[derive(Clone, Copy)]
pub struct Presented<'a> {
    /// `AKIA…` or `ASIA…`
    pub access_key_id: &'a str,
    /// The token of temporary credentials, if one was sent.
    pub session_token: Option<&'a str>,
    /// The time of the request.
    pub now: Timestamp,
}

/// Why a presented credential is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum CredentialFault {
    /// The session token's time is over.
    #[error("the security token included in the request is expired")]
    Expired,
    /// The key is unknown or inactive, or its token is missing, foreign or altered.
    #[error("the security token included in the request is invalid")]
    Invalid,
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

/// Uses of a credential that are remembered as told. Ours: who does so many
/// things in turn is told of once a minute each, mostly.
const USES_TOLD: usize = 16;

/// A live credential: a secret, and who holds it.
pub struct Credential {
    /// `AKIA…` or `ASIA…`
    pub access_key_id: String,
    /// The secret access key.
    pub secret: Secret<String>,
    /// Who signs with it.
    pub caller: Arc<Caller>,
    /// Signing keys derived from the secret.
    pub signing: SigningKeys,
    /// Digests of the last uses that identity heard of, each in the place that
    /// it falls on.
    told: [AtomicU64; USES_TOLD],
}

impl Credential {
    /// A credential of `caller`, with no signing key derived yet.
    pub fn new(access_key_id: String, secret: Secret<String>, caller: Arc<Caller>) -> Credential {
        Credential {
            access_key_id,
            secret,
            caller,
            signing: SigningKeys::default(),
            told: Default::default(),
        }
    }

    /// Whether this use is another than those asked about last: of another
    /// minute, action or region. Two calls at once may both be told that it is.
    pub(crate) fn is_news(&self, at: &Use<'_>) -> bool {
        // Zero stands for none.
        let digest = at.digest() | 1;
        let place = &self.told[usize::from(digest.to_le_bytes()[1]) % USES_TOLD];
        if place.load(Ordering::Relaxed) == digest {
            return false;
        }
        place.store(digest, Ordering::Relaxed);
        true
    }
}

/// The few signing keys a credential is using: one a day, region and service.
#[derive(Default)]
pub struct SigningKeys(Mutex<Vec<(Scope<'static>, Arc<SigningKey>)>>);

impl SigningKeys {
    /// Keys kept; a client that uses more regions and services at once derives anew.
    const KEPT: usize = 16;

    /// The key of `scope`, derived if it is not among those kept.
    pub(crate) fn get_or_derive(
        &self,
        access_key_id: &str,
        secret: &Secret<String>,
        scope: &Scope<'_>,
    ) -> Arc<SigningKey> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, key)) = kept.iter().find(|(known, _)| known == scope) {
            return Arc::clone(key);
        }
        let key = Arc::new(SigningKey::derive(access_key_id, secret, scope));
        if kept.len() == Self::KEPT {
            kept.remove(0);
        }
        kept.push((scope.clone().into_owned(), Arc::clone(&key)));
        key
    }
}

/// Someone who has proven who they are.
pub struct Caller {
    /// Who, as policies see them.
    pub principal: Principal,
    /// The account they act in.
    pub account: AccountId,
    /// The access key they signed with.
    pub access_key_id: String,
    /// What temporary credentials add.
    pub session: Option<Session>,
    /// The record's `userIdentity`, as JSON.
    pub(crate) identity: OnceLock<String>,
}

/// What temporary credentials say of themselves.
pub struct Session {
    /// When they were issued.
    pub issued: Timestamp,
    /// When they end.
    pub expires: Timestamp,
    /// When the issuer saw a second factor, if it did.
    pub mfa: Option<Timestamp>,
    /// The role behind the session, for the record: unique id, ARN with path, name.
    pub issuer: Option<SessionIssuer>,
    /// The source identity, if one was set.
    pub source_identity: Option<String>,
    /// The policies passed when the session was made; `None` if none were.
    pub policies: Option<Vec<Attached>>,
    /// The OpenID Connect provider that vouched for its bearer, for the record.
    pub web_identity: Option<WebIdentity>,
}

/// What the record tells of an OpenID Connect provider (`webIdFederationData`).
pub struct WebIdentity {
    /// Its ARN.
    pub provider: String,
    /// Condition keys and their values.
    pub attributes: Vec<(String, String)>,
}

/// The role or user that a session comes from.
#[derive(Debug, Clone)]
pub struct SessionIssuer {
    /// `Role` or `IAMUser`.
    pub kind: &'static str,
    /// `AROA…` or `AIDA…`
    pub id: String,
    /// With path.
    pub arn: String,
    /// Without path.
    pub name: String,
}

impl Caller {
    /// A caller with long-term or temporary credentials.
    pub fn new(
        principal: Principal,
        account: AccountId,
        access_key_id: String,
        session: Option<Session>,
    ) -> Caller {
        Caller {
            principal,
            account,
            access_key_id,
            session,
            identity: OnceLock::new(),
        }
    }
}

/// How the record tells of somebody whom a foreign provider vouches for.
pub struct Vouched<'a> {
    /// `principalId`: of a web identity `PROVIDER:AUDIENCE:SUBJECT`, of SAML `QUALIFIER:SUBJECT`.
    pub principal_id: &'a str,
    /// `userName`: the subject.
    pub user_name: &'a str,
    /// `identityProvider`
    pub identity_provider: &'a str,
}

impl Caller {
    /// Who has not proven anything. It acts in no account; zeros stand for that.
    pub(crate) fn nobody() -> Caller {
        let no_account = AccountId::from_number(0).expect("zero has at most twelve digits");
        Caller::new(Principal::anonymous(), no_account, String::new(), None)
    }

    /// Somebody whom a foreign provider vouches for, about to become a role of
    /// `account`. `principal` is the bearer of the provider's token.
    pub fn vouched_for(principal: Principal, account: AccountId, vouched: &Vouched<'_>) -> Caller {
        let identity = crate::record::vouched_identity(&principal, vouched);
        Caller {
            identity: OnceLock::from(identity),
            ..Caller::new(principal, account, String::new(), None)
        }
    }

    /// Whether this is the root user by a session from `AssumeRoot`.
    pub fn is_assumed_root(&self) -> bool {
        self.session.is_some() && self.principal.keys().get("aws:AssumedRoot").is_some()
    }

    /// The record's `userIdentity` (CloudTrail, "userIdentity element").
    pub(crate) fn identity_json(&self) -> &str {
        self.identity.get_or_init(|| crate::record::user_identity(self))
    }
}

/// The policies that bind a caller wherever it goes; those of its session are
/// in [`Session::policies`], those over its account in [`crate::Standing`].
#[derive(Debug, Default)]
pub struct CallerPolicies {
    /// Of the user and its groups, or of the role.
    pub identity: Vec<Attached>,
    /// The permissions boundary of the user or role.
    pub boundary: Option<Attached>,
}

impl CallerPolicies {
    /// Everything that is weighed when `caller` asks for a resource.
    pub(crate) fn weighed_for<'a>(
        &'a self,
        caller: &'a Caller,
        resource: Option<&'a (Arc<Attached>, ResourcePolicyKind)>,
        grants: &'a [GrantAllow<'a>],
    ) -> Policies<'a> {
        Policies {
            identity: &self.identity,
            boundary: self.boundary.as_ref(),
            session: caller
                .session
                .as_ref()
                .and_then(|session| session.policies.as_deref()),
            resource: resource.map(|(policy, kind)| ResourcePolicy { policy, kind: *kind }),
            grants,
            ..Policies::default()
        }
    }
}
