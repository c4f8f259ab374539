//! What a handler is given beside its input: who calls, from where, what time
//! it is, and the only ways to ask permission and to write.
//!
//! A `Cx` lives for one run of one handler. When another writer comes first
//! the handler runs again with a fresh one.

mod call;

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crypto::Random;
use crypto::hierarchy::DomainKey;
use ground::{AccountId, Region, Timestamp, id};
use http::{HeaderMap, HeaderValue};
use policy::{Context, KeyName, Who};
use shape::{OperationShape, Structure, Violations};
use store::{Scope, StoreError, View, WriteTx};
use wire::{DecodeFault, RequestHead};

use crate::access::{Access, Asked, AuthorizeError, Denied, Permit};
use crate::authenticate::Authenticated;
use crate::copies::{self, Copies};
use crate::decision::{Question, Weighed};
use crate::directory::{Caller, CallerPolicies};
use crate::door::{Door, Peer};
use crate::encoded;
use crate::fault::{Fault, FaultKind};
use crate::guardrails::{ServiceAccess, Standing};
use crate::intent::Intent;
use crate::record::{self, Record, Touched};

pub use self::call::OnBehalf;
use self::call::Via;

/// Condition keys of every request. Constants, so that stating them takes no thought.
const CURRENT_TIME: KeyName<'static> = KeyName::new("aws:currenttime");
const EPOCH_TIME: KeyName<'static> = KeyName::new("aws:epochtime");
const REFERER: KeyName<'static> = KeyName::new("aws:referer");
const REQUESTED_REGION: KeyName<'static> = KeyName::new("aws:requestedregion");
const RESOURCE_ACCOUNT: KeyName<'static> = KeyName::new("aws:resourceaccount");
const SECURE_TRANSPORT: KeyName<'static> = KeyName::new("aws:securetransport");
const SOURCE_IP: KeyName<'static> = KeyName::new("aws:sourceip");
const USER_AGENT: KeyName<'static> = KeyName::new("aws:useragent");
const VIA_AWS_SERVICE: KeyName<'static> = KeyName::new("aws:viaawsservice");

/// The context of one call.
pub struct Cx {
    door: Arc<Door>,
    operation: &'static OperationShape,
    caller: Arc<Caller>,
    /// Who a token in the request proved to call, where nobody signs.
    proven: OnceLock<Arc<Caller>>,
    region: Region,
    now: Timestamp,
    request_id: Arc<str>,
    event_id: String,
    peer: Arc<Peer>,
    user_agent: Option<Arc<str>>,
    /// As sent; a caller may say anything.
    referer: Option<Arc<str>>,
    /// By which name the caller reached the server, as it signed.
    host: Option<HeaderValue>,
    view: View,
    /// The generation of the ring of root keys when the handler began.
    ring: u64,
    /// Whether the handler asked for permission, and got it, at least once.
    authorized: AtomicBool,
    policies: OnceLock<Arc<CallerPolicies>>,
    /// How the call came, if a service made it.
    via: Option<Via>,
    gathered: Mutex<Gathered>,
}

/// What headers say of the caller, shared by the calls of one request.
#[derive(Default)]
pub(crate) struct Said {
    user_agent: Option<Arc<str>>,
    referer: Option<Arc<str>>,
    host: Option<HeaderValue>,
}

impl Said {
    /// What these headers say of the program that calls, and nothing else.
    pub(crate) fn of_agent(headers: &HeaderMap) -> Said {
        Said {
            referer: None,
            host: None,
            ..Said::in_headers(headers)
        }
    }

    /// What these headers say.
    pub(crate) fn in_headers(headers: &HeaderMap) -> Said {
        let said = |header| headers.get(header).and_then(|value| value.to_str().ok());
        Said {
            user_agent: said(http::header::USER_AGENT).map(Arc::from),
            referer: said(http::header::REFERER).map(Arc::from),
            host: headers.get(http::header::HOST).cloned(),
        }
    }
}

/// What the record will say, gathered while the handler runs.
#[derive(Default)]
struct Gathered {
    parameters: Option<String>,
    touched: Vec<Touched>,
    notes: Vec<(&'static str, String)>,
    weighed: Vec<Weighed>,
    /// Other accounts whose policies were asked, each once.
    owners: Vec<AccountId>,
    /// Of the calls that the service made for this one: request ids, and what was weighed.
    calls: Vec<String>,
    weighed_inside: Vec<Weighed>,
    intent: Option<Intent>,
}

impl Cx {
    pub(crate) fn new(
        door: &Arc<Door>,
        operation: &'static OperationShape,
        authenticated: &Authenticated,
        peer: &Arc<Peer>,
        said: &Said,
        request_id: &str,
        now: Timestamp,
    ) -> Cx {
        let caller = Arc::clone(&authenticated.caller);
        let scope = if operation.service.global {
            Scope::regionless(caller.account)
        } else {
            Scope::regional(caller.account, &authenticated.region)
        };
        Cx {
            view: door.parts.store.view(scope),
            ring: door.parts.root_key.ring_generation(),
            operation,
            caller,
            proven: OnceLock::new(),
            region: authenticated.region.clone(),
            now,
            request_id: request_id.into(),
            event_id: id::uuid_at(now, door.parts.random.public_bytes()),
            peer: Arc::clone(peer),
            user_agent: said.user_agent.clone(),
            referer: said.referer.clone(),
            host: said.host.clone(),
            authorized: AtomicBool::new(false),
            policies: OnceLock::new(),
            via: None,
            gathered: Mutex::default(),
            door: Arc::clone(door),
        }
    }

    /// Who calls.
    pub fn caller(&self) -> &Caller {
        self.shared_caller()
    }

    pub(crate) fn shared_caller(&self) -> &Arc<Caller> {
        self.proven.get().unwrap_or(&self.caller)
    }

    /// Says who calls an operation that nobody signs: the handler has proven
    /// the token in the request. Until then the caller is nobody, who may ask
    /// for nothing, and of whom nothing is recorded.
    ///
    /// # Panics
    ///
    /// If the operation is signed, or who calls has been said.
    pub fn is_proven_to_be(&self, caller: Caller) {
        assert!(self.operation.unsigned, "a signature has proven who calls");
        let news = self.proven.set(Arc::new(caller)).is_ok();
        assert!(news, "one request is one caller's");
    }

    /// Whether nobody has proven to call.
    pub(crate) fn is_nobodys(&self) -> bool {
        self.operation.unsigned && self.via.is_none() && self.proven.get().is_none()
    }

    /// The account the caller acts in.
    pub fn account(&self) -> AccountId {
        self.caller().account
    }

    /// The region the call was signed for; `us-east-1` for global services.
    pub fn region(&self) -> &Region {
        &self.region
    }

    /// When the call came in. It does not move while the handler runs.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Randomness for ids and keys.
    pub fn random(&self) -> &Random {
        &self.door.parts.random
    }

    /// The id the caller will find in the answer's headers.
    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    /// The address by which the caller reached the server, as it signed:
    /// `https://palisade.example:8443`. `None` of calls inside the process.
    pub fn reached_at(&self) -> Option<String> {
        let host = self.host.as_ref()?.to_str().ok()?;
        let host: http::uri::Authority = host.parse().ok()?;
        let scheme = if self.peer.tls.is_some() { "https" } else { "http" };
        Some(format!("{scheme}://{host}"))
    }

    /// The `eventID` of this call's record in the trail of `account`: the
    /// caller's, or that of another owner whose policies were asked.
    pub fn event_id(&self, account: AccountId) -> Cow<'_, str> {
        if account == self.account() {
            Cow::Borrowed(&self.event_id)
        } else {
            Cow::Owned(copies::event_id_of_owner(&self.event_id, account))
        }
    }

    /// The operation being run.
    pub fn operation(&self) -> &'static OperationShape {
        self.operation
    }

    /// The caller's account and region in the store. A resource named by a
    /// foreign ARN is read by its `cross_account_get`.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// The key that seals `purpose`, which is declared, in an account and region.
    pub fn domain_key(&self, account: AccountId, region: &Region, purpose: &'static str) -> DomainKey {
        self.door.domain_key(account, region, purpose)
    }

    /// The unique id behind the ARN of a user or role; `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if identity cannot be read.
    pub async fn principal_id(&self, arn: &str) -> Result<Option<String>, StoreError> {
        self.door.parts.directory.principal_id(arn).await
    }

    /// The ARN that the user or role with this unique id has today; `None` if
    /// nobody in the account has it.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if identity cannot be read.
    pub async fn principal_arn(&self, account: AccountId, id: &str) -> Result<Option<String>, StoreError> {
        self.door.parts.directory.principal_arn(account, id).await
    }

    /// Whether the account exists here.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if identity cannot be read.
    pub async fn account_exists(&self, account: AccountId) -> Result<bool, StoreError> {
        self.door.parts.directory.account_exists(account).await
    }

    /// What organisations lay over `account`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it cannot be read.
    pub async fn account_standing(&self, account: AccountId) -> Result<Arc<Standing>, StoreError> {
        self.door.parts.guardrails.over(account).get().await
    }

    /// How the organisation of `account` lets a service in, by the name of its
    /// principal: `iam.amazonaws.com`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it cannot be read.
    pub async fn service_access(
        &self,
        account: AccountId,
        service: &str,
    ) -> Result<ServiceAccess, StoreError> {
        self.door.parts.guardrails.service_access(account, service).await
    }

    /// Adds to `tx` that no credential of `account` is accepted any more.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if identity cannot be read.
    pub async fn close_account(&self, tx: &WriteTx, account: AccountId) -> Result<(), StoreError> {
        let directory = &self.door.parts.directory;
        directory
            .close_account(tx, account, self.now, self.random().bytes())
            .await
    }

    /// Asks for permission. Every policy that bears on caller and resource is
    /// weighed; nothing said is a refusal.
    ///
    /// # Errors
    ///
    /// [`AuthorizeError::Denied`] with AWS's words, or
    /// [`AuthorizeError::Store`] if policies cannot be read.
    pub async fn authorize<T>(&self, access: Access<T>) -> Result<Permit<T>, AuthorizeError> {
        self.list(&access);
        let Access { resource, asked } = access;
        let hidden = asked.hidden;
        let weighed = Weighed::new(self.question(asked).await?, hidden);
        self.settle(resource, weighed, hidden).await
    }

    /// As [`Cx::authorize`], of a resource that may have grants: `find` tells the ids
    /// of those that cover this caller, action and context. They are looked for only
    /// where the policies do not allow by themselves, and none of them denies.
    ///
    /// # Errors
    ///
    /// As [`Cx::authorize`], and what `find` reports.
    pub async fn authorize_or_by_grants<T>(
        &self,
        access: Access<T>,
        find: impl AsyncFnOnce() -> Result<Vec<String>, StoreError>,
    ) -> Result<Permit<T>, AuthorizeError> {
        self.list(&access);
        let Access { resource, asked } = access;
        let hidden = asked.hidden;
        let mut weighed = Weighed::new(self.question(asked).await?, hidden);
        if weighed.could_be_granted() {
            let grants = find().await?;
            if !grants.is_empty() {
                weighed = weighed.with_grants(grants, hidden);
            }
        }
        self.settle(resource, weighed, hidden).await
    }

    /// Lists what permission is asked for in the record.
    fn list<T>(&self, access: &Access<T>) {
        self.gather(|gathered| {
            if let Some(touched) = access.touched(self.account())
                && !gathered.touched.contains(&touched)
            {
                gathered.touched.push(touched);
            }
        });
    }

    /// Gives what was weighed to the record and to `why`, and the permit to the caller.
    async fn settle<T>(
        &self,
        resource: T,
        weighed: Weighed,
        hidden: bool,
    ) -> Result<Permit<T>, AuthorizeError> {
        let denied = weighed.denied().map(|text| self.worded(text, &weighed, hidden));
        let asked = match weighed.asked_owner() {
            Some(owner) if self.account_exists(owner).await? => Some(owner),
            Some(_) | None => None,
        };
        self.gather(|gathered| {
            gathered.weighed.push(weighed);
            gathered
                .owners
                .extend(asked.filter(|owner| !gathered.owners.contains(owner)));
        });
        match denied {
            Some(text) => Err(Denied { text }.into()),
            None => {
                self.authorized.store(true, Ordering::Relaxed);
                Ok(Permit(resource))
            }
        }
    }

    /// A refusal in the manner of the operation's service. EC2 and its like put
    /// a sentence before it, and an encoded message behind.
    fn worded(&self, text: &str, weighed: &Weighed, hidden: bool) -> String {
        if !self.door.encodes_refusals(self.operation.service) {
            return text.to_owned();
        }
        let words = format!("You are not authorized to perform this operation. {text}");
        let domain = self.domain_key(self.account(), &Region::us_east_1(), encoded::SEALED_FOR);
        match encoded::seal(&domain, self.random(), &weighed.authorization_message(hidden)) {
            Ok(sealed) => format!("{words}. Encoded authorization failure message: {sealed}"),
            Err(error) => {
                tracing::error!(request_id = &*self.request_id, %error, "a refusal cannot be encoded");
                words
            }
        }
    }

    /// What an encoded message tells of a refusal that a caller of this account
    /// met; `None` of anything else.
    pub fn decoded_refusal(&self, encoded: &str) -> Option<String> {
        let domain = self.domain_key(self.account(), &Region::us_east_1(), encoded::SEALED_FOR);
        encoded::open(&domain, encoded)
    }

    /// Whether the caller would be allowed; leaves no trace in the record and
    /// does not count as authorization. For checks such as the key policy
    /// lockout.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if policies cannot be read.
    pub async fn would_allow<T>(&self, access: Access<T>) -> Result<bool, StoreError> {
        let weighed = Weighed::new(self.question(access.asked).await?, false);
        Ok(weighed.denied().is_none())
    }

    /// Says that the operation needs no permission on AWS either, and why:
    /// `sts:GetCallerIdentity`.
    pub fn needs_no_permission(&self, _reason: &'static str) {
        self.authorized.store(true, Ordering::Relaxed);
    }

    /// What the policies would say if this context's caller asked for `access`,
    /// `said` being known of the request whatever else is. Of a foreign
    /// resource's owner nothing is weighed. Its grants count as in
    /// [`Cx::authorize_or_by_grants`]. As [`Cx::would_allow`], it leaves no trace.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if policies cannot be read.
    pub(crate) async fn suppose(
        &self,
        action: Cow<'static, str>,
        access: Access<()>,
        said: Context<'static>,
    ) -> Result<Weighed, StoreError> {
        let mut asked = access.asked;
        asked.action = Some(action);
        let mut question = self.question(asked).await?;
        for (key, value) in said.iter() {
            question.asked.keys.insert(key.to_owned(), value.clone());
        }
        Ok(Weighed::policies_first(question.of_callers_side()))
    }

    /// Everything that bears on a request.
    async fn question(&self, mut asked: Box<Asked>) -> Result<Question, StoreError> {
        let policies = self.policies().await?;
        let standing = self.standing(asked.owner).await?;
        let keys = &mut asked.keys;
        self.global_keys(keys, asked.owner);
        self.callers_organization(keys, &standing.0);
        standing
            .1
            .state(keys, "aws:resourceorgid", "aws:resourceorgpaths");
        Ok(Question {
            caller: Arc::clone(self.shared_caller()),
            policies,
            standing,
            own_action: self.operation.action,
            asked,
            grants_aside: false,
        })
    }

    /// The organisation of the caller's account: the principal's own, or the
    /// source's where a service acts for a resource of the account. A service
    /// belongs to no organisation itself, nor does the bearer of a foreign
    /// provider's token.
    fn callers_organization(&self, keys: &mut Context<'static>, standing: &Standing) {
        if self.proven.get().is_some() {
            return;
        }
        let via = self.via.as_ref();
        match self.caller.principal.who() {
            Who::Service { .. } if via.is_some_and(Via::is_on_behalf) => {
                standing.state(keys, "aws:sourceorgid", "aws:sourceorgpaths");
            }
            Who::Service { .. } => {}
            _ => standing.state(keys, "aws:principalorgid", "aws:principalorgpaths"),
        }
    }

    /// What is over the caller's account and over the owner's.
    async fn standing(&self, owner: Option<AccountId>) -> Result<(Arc<Standing>, Arc<Standing>), StoreError> {
        let guardrails = &self.door.parts.guardrails;
        let callers = guardrails.over(self.account()).get().await?;
        let owners = match owner {
            Some(owner) if owner != self.account() => guardrails.over(owner).get().await?,
            Some(_) | None => Arc::clone(&callers),
        };
        Ok((callers, owners))
    }

    async fn policies(&self) -> Result<Arc<CallerPolicies>, StoreError> {
        if let Some(policies) = self.policies.get() {
            return Ok(Arc::clone(policies));
        }
        let policies = self.door.parts.directory.policies(self.caller()).get().await?;
        Ok(Arc::clone(self.policies.get_or_init(|| policies)))
    }

    /// The condition keys that hold for every request (IAM User Guide, "AWS
    /// global condition context keys"). Those that follow from the principal
    /// are the principal's own.
    fn global_keys(&self, keys: &mut Context<'static>, owner: Option<AccountId>) {
        keys.insert(CURRENT_TIME, self.now);
        keys.insert(EPOCH_TIME, self.now);
        keys.insert(REQUESTED_REGION, self.region.clone());
        keys.insert(RESOURCE_ACCOUNT, owner.unwrap_or(self.account()));
        match &self.via {
            None => {
                keys.insert(SECURE_TRANSPORT, self.peer.tls.is_some());
                keys.insert(SOURCE_IP, self.peer.address.ip());
                keys.insert(VIA_AWS_SERVICE, false);
            }
            Some(via) => via.keys(keys),
        }
        keys.insert_if_known(USER_AGENT, self.user_agent.clone());
        keys.insert_if_known(REFERER, self.referer.clone());
        self.mfa_keys(keys);
    }

    /// Whether and how long ago the caller proved a second factor: present on
    /// all temporary credentials, absent on long-term ones, unless the handler
    /// has just seen a code.
    fn mfa_keys(&self, keys: &mut Context<'static>) {
        let Some(session) = &self.caller().session else {
            return;
        };
        if keys.get("aws:multifactorauthpresent").is_some() {
            return;
        }
        keys.insert("aws:multifactorauthpresent", session.mfa.is_some());
        if let Some(at) = session.mfa {
            keys.insert("aws:multifactorauthage", self.now.seconds() - at.seconds());
        }
    }

    /// Runs `change` in a transaction that is conditional on everything read
    /// through this context, and commits it together with the intent to
    /// record this call.
    ///
    /// # Errors
    ///
    /// The closure's own; [`StoreError::Conflict`] if another writer was
    /// first, upon which the door runs the handler again.
    pub async fn write<T, E: From<StoreError>>(
        &self,
        change: impl AsyncFnOnce(&mut WriteTx) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut tx = self.view.begin();
        self.door.fence(&tx, self.ring).await?;
        let value = change(&mut tx).await?;
        let synced = self.door.parts.journal.synced();
        let intent = Intent::new(&self.event_id, self.now, synced, self.records(None, None));
        self.door.intents.add_to(&mut tx, &intent, synced);
        self.door.parts.store.commit(tx).await?;
        self.gather(|gathered| gathered.intent = Some(intent));
        Ok(value)
    }

    /// Lists a thing in the record's `resources` that no permission was asked for.
    pub fn touched(&self, kind: &'static str, arn: impl Into<Arc<str>>, account: AccountId) {
        let arn = arn.into();
        self.gather(|gathered| gathered.touched.push(Touched { kind, arn, account }));
    }

    /// Adds to the record's `additionalEventData`.
    pub fn note(&self, name: &'static str, value: String) {
        self.gather(|gathered| gathered.notes.push((name, value)));
    }

    /// States the record's `requestParameters`, as JSON, of a call that no model describes.
    pub(crate) fn state_parameters(&self, parameters: String) {
        self.gather(|gathered| gathered.parameters = Some(parameters));
    }

    pub(crate) fn decode(
        &self,
        operation: &'static OperationShape,
        head: &RequestHead<'_>,
        body: &[u8],
        input: &mut dyn Structure,
    ) -> Result<(), Fault> {
        let decoded = wire::decode(operation, head, body, input);
        let parameters = record::parameters(input);
        self.gather(|gathered| gathered.parameters = parameters);
        decoded.map_err(|fault| decode_fault(&fault, operation))
    }

    /// Checks an input that was made inside the process, as [`Cx::decode`]
    /// checks one that came over the wire.
    pub(crate) fn check(
        &self,
        operation: &'static OperationShape,
        input: &dyn Structure,
    ) -> Result<(), Fault> {
        let mut violations = Violations::default();
        shape::check::structure(input, &shape::Path::ROOT, &mut violations);
        let parameters = record::parameters(input);
        self.gather(|gathered| gathered.parameters = parameters);
        if violations.is_empty() {
            return Ok(());
        }
        Err(decode_fault(&DecodeFault::Invalid(violations), operation))
    }

    /// An answer that nobody authorized does not leave: the handler is at fault.
    pub(crate) fn refuse_unauthorized<T>(&self, outcome: Result<T, Fault>) -> Result<T, Fault> {
        match outcome {
            Ok(_) if !self.authorized.load(Ordering::Relaxed) || self.is_nobodys() => Err(Fault::server(
                "InternalFailure",
                "the handler answered without asking for permission",
            )),
            outcome => outcome,
        }
    }

    /// The record of this call, each copy as one line of JSON.
    pub(crate) fn records(&self, error: Option<(&str, Option<&str>)>, elements: Option<&str>) -> Copies {
        let gathered = self.gathered();
        let decision = crate::decision::summary(&gathered.weighed, &gathered.calls);
        let shared = (!gathered.owners.is_empty()).then(|| copies::shared_event_id(&self.event_id));
        let own = Record {
            user_identity: Some(self.identity_json()),
            time: self.now,
            event_source: self.operation.service.event_source,
            event_name: self.operation.name,
            region: self.region.as_str(),
            source_address: &self.peer.spelled,
            user_agent: self.user_agent.as_deref(),
            error,
            request_parameters: gathered.parameters.as_deref(),
            response_elements: elements,
            additional: &gathered.notes,
            request_id: &self.request_id,
            event_id: &self.event_id,
            shared_event_id: shared.as_deref(),
            read_only: self.operation.read_only,
            resources: &gathered.touched,
            account: Some(self.account()),
            tls: self.peer.tls.as_deref(),
            decision: decision.as_deref(),
        };
        copies::of(
            &own,
            self.caller(),
            self.invoked_by(),
            &gathered.owners,
            &gathered.weighed,
        )
    }

    pub(crate) fn take_intent(&self) -> Option<Intent> {
        self.gathered().intent.take()
    }

    /// `x-palisade-decision`: why the call was refused, for those who may know.
    pub(crate) async fn decision_header(&self) -> Option<String> {
        let summary = {
            let gathered = self.gathered();
            let last = [gathered.weighed_inside.last(), gathered.weighed.last()];
            let refused = last
                .into_iter()
                .flatten()
                .find(|weighed| weighed.denied().is_some())?;
            refused.headline()
        };
        let arn = crate::operator::decision_arn(&self.region, self.account(), &self.request_id);
        let access = Access::to((), arn).doing(crate::operator::EXPLAIN);
        // In a box, because calls that are allowed need no room for it.
        let may_know = Box::pin(self.would_allow(access));
        may_know.await.ok()?.then_some(summary)
    }

    /// Hands what was weighed to the door's memory, for `why`.
    pub(crate) fn keep_decisions(&self) {
        let weighed = self.take_weighed();
        self.door.decisions.keep(&self.request_id, &self.region, weighed);
    }

    fn gather(&self, change: impl FnOnce(&mut Gathered)) {
        change(&mut self.gathered());
    }

    fn gathered(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How an input that does not decode is told.
fn decode_fault(fault: &DecodeFault, operation: &'static OperationShape) -> Fault {
    let told = fault.to_fault(operation);
    Fault {
        kind: FaultKind::Client,
        code: told.code,
        message: told.message,
        status: Some(told.status),
        members: Vec::new(),
        detail: None,
    }
}
