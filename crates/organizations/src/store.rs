//! The rows of an organisation, and the only way to change them.
//!
//! Everything of an organisation lives in the regionless scope of its
//! management account; an account keeps which organisation it belongs to; all
//! accounts share the index of e-mail addresses and what jobs look for.
//!
//! Invariants:
//! - every change changes [`GENERATION`] in the same commit, by which whatever
//!   was assembled from these rows is known to be out of date;
//! - [`CHILDREN`] has one row for every unit and member, [`UNIT_NAMES`] one for
//!   every unit, [`POLICY_NAMES`] one for every policy, [`TARGETS`] the same
//!   pairs as [`ATTACHED`].
//!
//! Absent by design: reads within a write. A handler reads first; its commit
//! fails if anything it read has changed.

use std::sync::Arc;

use gate::{Cx, Permit};
use ground::AccountId;
use policy::{Attached, Document, DocumentKind, Holder, Level};
use store::{Prefix, Scope, StoreError, Table, View, WriteTx};

use crate::error::Error;
use crate::limits::UNIT_LEVELS_MAX;
use crate::model::{
    Attachment, AwsPolicy, Belonging, Creation, Generation, Handshake, Mark, Member, Node, Organization,
    Policy, PolicyKind, Profile, ResourcePolicy, Since, Tags, Unit,
};

/// In the scope all accounts share: changes with every change of any organisation.
pub(crate) const GENERATION: Table<(), Generation> = Table::new("organizations/generation", 1);
/// In the scope all accounts share: requests to create accounts that wait, by management account and id.
pub(crate) const WAITING: Table<(AccountId, String), Mark> = Table::new("organizations/waiting-creation", 1);
/// In the scope all accounts share: whose an e-mail address is, in lower case.
pub(crate) const EMAILS: Table<String, AccountId> = Table::new("organizations/email", 1);
/// In an account: where it belongs.
pub(crate) const BELONGING: Table<(), Belonging> = Table::new("organizations/belonging", 1);
/// In an account: its name and address.
pub(crate) const PROFILE: Table<(), Profile> = Table::new("organizations/profile", 1);
/// The organisation itself.
pub(crate) const ORGANIZATION: Table<(), Organization> = Table::new("organizations/organization", 1);
/// By account.
pub(crate) const MEMBERS: Table<AccountId, Member> = Table::new("organizations/member", 1);
/// By id.
pub(crate) const UNITS: Table<String, Unit> = Table::new("organizations/unit", 1);
/// By parent and name: the unit's id.
pub(crate) const UNIT_NAMES: Table<(String, String), String> = Table::new("organizations/unit-name", 1);
/// By parent, `account` or `unit`, and id.
pub(crate) const CHILDREN: Table<(String, String, String), Mark> = Table::new("organizations/child", 1);
/// By id.
pub(crate) const POLICIES: Table<String, Policy> = Table::new("organizations/policy", 1);
/// By type and name: the policy's id.
pub(crate) const POLICY_NAMES: Table<(String, String), String> = Table::new("organizations/policy-name", 1);
/// By target and policy.
pub(crate) const ATTACHED: Table<(String, String), Attachment> = Table::new("organizations/attached", 1);
/// By policy and target.
pub(crate) const TARGETS: Table<(String, String), Attachment> = Table::new("organizations/target", 1);
/// By target and type: that AWS's own policy was detached.
pub(crate) const DEFAULT_OFF: Table<(String, String), Attachment> =
    Table::new("organizations/default-off", 1);
/// By id.
pub(crate) const CREATIONS: Table<String, Creation> = Table::new("organizations/creation", 1);
/// By id of what is tagged.
pub(crate) const TAGS: Table<String, Tags> = Table::new("organizations/tags", 1);

/// In the scope all accounts share: by id.
pub(crate) const HANDSHAKES: Table<String, Handshake> = Table::new("organizations/handshake", 1);
/// In the scope all accounts share: by organisation or account, and id.
const HANDSHAKES_OF: Table<(String, String), Mark> = Table::new("organizations/handshake-of", 1);
/// By account and service.
pub(crate) const DELEGATIONS: Table<(AccountId, String), Since> = Table::new("organizations/delegation", 1);
/// By service: that it is trusted.
pub(crate) const TRUSTED: Table<String, Since> = Table::new("organizations/trusted-service", 1);
/// The organisation's own policy as a resource.
pub(crate) const RESOURCE_POLICY: Table<(), ResourcePolicy> = Table::new("organizations/resource-policy", 1);

/// A policy of AWS or of the organisation.
#[derive(Debug, Clone)]
pub(crate) enum Found {
    Aws(&'static AwsPolicy),
    Own(Arc<Policy>),
}

impl Found {
    pub(crate) fn kind(&self) -> PolicyKind {
        match self {
            Found::Aws(policy) => policy.kind,
            Found::Own(policy) => policy.kind,
        }
    }

    pub(crate) fn id(&self) -> &str {
        match self {
            Found::Aws(policy) => policy.id,
            Found::Own(policy) => &policy.id,
        }
    }

    pub(crate) fn arn(&self, organization: &Organization) -> String {
        match self {
            Found::Aws(policy) => policy.arn(),
            Found::Own(policy) => policy_arn(organization, policy.kind, &policy.id),
        }
    }
}

/// `arn:aws:organizations::M:policy/o-…/KIND/p-…`
pub(crate) fn policy_arn(organization: &Organization, kind: PolicyKind, id: &str) -> String {
    organization.arn("policy", &format!("{}/{id}", kind.word()))
}

/// One organisation, as one request reads it.
#[derive(Clone)]
pub(crate) struct Rows<'a> {
    view: &'a View,
    scope: Scope,
    organization: Arc<Organization>,
}

/// Where `account` belongs; `None` outside of organisations.
pub(crate) async fn belonging(view: &View, account: AccountId) -> Result<Option<Arc<Belonging>>, StoreError> {
    let scope = Scope::regionless(account);
    view.cross_account_get(&scope, &BELONGING, &()).await
}

/// Name and address of `account`: what it was created with, or made up from
/// its id where the operator made it.
pub(crate) async fn profile(view: &View, account: AccountId) -> Result<Profile, StoreError> {
    let scope = Scope::regionless(account);
    let known = view.cross_account_get(&scope, &PROFILE, &()).await?;
    Ok(known.map_or_else(|| Profile::of_operators(account), |profile| (*profile).clone()))
}

/// Every handshake that an organisation or account is party to.
pub(crate) async fn handshakes_of(view: &View, party: &str) -> Result<Vec<Arc<Handshake>>, StoreError> {
    let (global, prefix) = (
        Scope::global(),
        Prefix::<(String, String)>::first(&party.to_owned()),
    );
    let mut handshakes = Vec::new();
    let mut after = None;
    loop {
        let limit = store::limits::PAGE_ITEMS_MAX;
        let page = view
            .cross_account_scan(&global, &HANDSHAKES_OF, &prefix, after.as_ref(), limit)
            .await?;
        for ((_, id), _) in page.items {
            handshakes.extend(view.cross_account_get(&global, &HANDSHAKES, &id).await?);
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(handshakes),
        }
    }
}

impl<'a> Rows<'a> {
    /// The organisation that `account` belongs to.
    ///
    /// # Errors
    ///
    /// [`StoreError::BadRecord`] if an account belongs to one that is not there.
    pub(crate) async fn of(view: &'a View, account: AccountId) -> Result<Option<Rows<'a>>, StoreError> {
        let Some(belonging) = belonging(view, account).await? else {
            return Ok(None);
        };
        let scope = Scope::regionless(belonging.management);
        let organization = view.cross_account_get(&scope, &ORGANIZATION, &()).await?;
        let organization = organization.filter(|found| found.id == belonging.organization);
        let organization = organization.ok_or_else(|| lost(&belonging.organization))?;
        Ok(Some(Rows {
            view,
            scope,
            organization,
        }))
    }

    pub(crate) fn organization(&self) -> &Organization {
        &self.organization
    }

    pub(crate) fn scope(&self) -> &Scope {
        &self.scope
    }

    pub(crate) fn view(&self) -> &'a View {
        self.view
    }

    pub(crate) async fn get<K: store::Key, V: store::Record>(
        &self,
        table: &Table<K, V>,
        key: &K,
    ) -> Result<Option<Arc<V>>, StoreError> {
        self.view.cross_account_get(&self.scope, table, key).await
    }

    pub(crate) async fn scan<K: store::Key, V: store::Record>(
        &self,
        table: &Table<K, V>,
        prefix: &Prefix<K>,
        after: Option<&K>,
        limit: usize,
    ) -> Result<store::Page<K, V>, StoreError> {
        self.view
            .cross_account_scan(&self.scope, table, prefix, after, limit)
            .await
    }

    /// All rows below `prefix`. The quotas of an organisation bound them.
    pub(crate) async fn all<K: store::Key, V: store::Record>(
        &self,
        table: &Table<K, V>,
        prefix: &Prefix<K>,
    ) -> Result<Vec<(K, Arc<V>)>, StoreError> {
        let mut items = Vec::new();
        let mut after = None;
        loop {
            let page = self
                .scan(table, prefix, after.as_ref(), store::limits::PAGE_ITEMS_MAX)
                .await?;
            items.extend(page.items);
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(items),
            }
        }
    }

    pub(crate) async fn member(&self, account: AccountId) -> Result<Option<Arc<Member>>, StoreError> {
        self.get(&MEMBERS, &account).await
    }

    pub(crate) async fn unit(&self, id: &str) -> Result<Option<Arc<Unit>>, StoreError> {
        self.get(&UNITS, &id.to_owned()).await
    }

    /// The name of a root, unit or account; `None` if it is not there.
    pub(crate) async fn name(&self, node: &Node) -> Result<Option<String>, StoreError> {
        Ok(match node {
            Node::Account(account) => self.member(*account).await?.map(|member| member.name.clone()),
            Node::Root(id) => (*id == self.organization.root).then(|| "Root".to_owned()),
            Node::Unit(id) => self.unit(id).await?.map(|unit| unit.name.clone()),
        })
    }

    /// Whether the root, unit or account is there.
    pub(crate) async fn has(&self, node: &Node) -> Result<bool, StoreError> {
        Ok(self.name(node).await?.is_some())
    }

    /// What `id` names, if it is a root or unit that is there.
    pub(crate) async fn parent(&self, id: &str) -> Result<Option<Node>, StoreError> {
        match Node::parse(id) {
            Some(node @ (Node::Root(_) | Node::Unit(_))) if self.has(&node).await? => Ok(Some(node)),
            Some(_) | None => Ok(None),
        }
    }

    /// What `id` names, if it is there.
    pub(crate) async fn target(&self, id: &str) -> Result<Option<Node>, StoreError> {
        match Node::parse(id) {
            Some(node) if self.has(&node).await? => Ok(Some(node)),
            Some(_) | None => Ok(None),
        }
    }

    /// The id of the parent; `None` for the root and for what is not there.
    pub(crate) async fn parent_of(&self, node: &Node) -> Result<Option<String>, StoreError> {
        Ok(match node {
            Node::Account(account) => self.member(*account).await?.map(|member| member.parent.clone()),
            Node::Root(_) => None,
            Node::Unit(id) => self.unit(id).await?.map(|unit| unit.parent.clone()),
        })
    }

    /// From the root down to `node`, both included.
    ///
    /// # Errors
    ///
    /// [`StoreError::BadRecord`] if the way up does not end at the root.
    pub(crate) async fn way_down(&self, node: &Node) -> Result<Vec<Node>, StoreError> {
        let mut way = vec![node.clone()];
        while let Some(parent) = self.parent_of(&way[way.len() - 1]).await? {
            way.push(Node::parse(&parent).ok_or_else(|| lost(&parent))?);
            if way.len() > UNIT_LEVELS_MAX + 2 {
                return Err(lost(&parent));
            }
        }
        if way.last() != Some(&self.organization.root_node()) {
            return Err(lost(&node.to_string()));
        }
        way.reverse();
        Ok(way)
    }

    /// `o-…/r-…/ou-…/`, without the last node if that is an account.
    pub(crate) fn path(&self, way: &[Node]) -> String {
        let mut path = format!("{}/", self.organization.id);
        for node in way {
            match node {
                Node::Root(id) | Node::Unit(id) => {
                    path.push_str(id);
                    path.push('/');
                }
                Node::Account(_) => {}
            }
        }
        path
    }

    pub(crate) async fn policy(&self, id: &str) -> Result<Option<Found>, StoreError> {
        if let Some(aws) = AwsPolicy::ALL.into_iter().find(|policy| policy.id == id) {
            return Ok(Some(Found::Aws(aws)));
        }
        Ok(self.get(&POLICIES, &id.to_owned()).await?.map(Found::Own))
    }

    /// The policies of a kind on one root, unit or account: AWS's first.
    /// Nothing is attached while the type is not enabled.
    pub(crate) async fn attached(&self, target: &str, kind: PolicyKind) -> Result<Vec<Found>, StoreError> {
        let state = self.organization.state(kind);
        let mut found = Vec::new();
        if !state.enabled {
            return Ok(found);
        }
        if self.has_default(target, kind).await? {
            found.extend(kind.default_policy().map(Found::Aws));
        }
        let prefix = Prefix::<(String, String)>::first(&target.to_owned());
        for ((_, id), attachment) in self.all(&ATTACHED, &prefix).await? {
            if attachment.kind == kind && attachment.season == state.season {
                // An attached policy cannot be deleted; one that is lost may have denied.
                found.push(self.policy(&id).await?.ok_or_else(|| lost(&id))?);
            }
        }
        Ok(found)
    }

    /// Whether AWS's own policy of the kind is on `target`.
    pub(crate) async fn has_default(&self, target: &str, kind: PolicyKind) -> Result<bool, StoreError> {
        let state = self.organization.state(kind);
        if kind.default_policy().is_none() || !state.enabled {
            return Ok(false);
        }
        let key = (target.to_owned(), kind.word().to_owned());
        let off = self.get(&DEFAULT_OFF, &key).await?;
        Ok(off.is_none_or(|off| off.season != state.season))
    }

    /// What binds at each level of `way`; `None` while the type is not enabled.
    pub(crate) async fn levels(
        &self,
        way: &[Node],
        kind: PolicyKind,
    ) -> Result<Option<Vec<Level>>, StoreError> {
        if !self.organization.state(kind).enabled {
            return Ok(None);
        }
        let mut levels = Vec::with_capacity(way.len());
        for node in way {
            let target: Arc<str> = node.to_string().into();
            let mut policies = Vec::new();
            for found in self.attached(&target, kind).await? {
                let document = document(&found)?;
                let holder = Holder::Target(Arc::clone(&target));
                policies.push(Attached::managed(
                    &found.arn(&self.organization),
                    holder,
                    document,
                ));
            }
            levels.push(Level { target, policies });
        }
        Ok(Some(levels))
    }

    /// Whether the account is a delegated administrator of any service.
    pub(crate) async fn is_delegated(&self, account: AccountId) -> Result<bool, StoreError> {
        let prefix = Prefix::<(AccountId, String)>::first(&account);
        let page = self.scan(&DELEGATIONS, &prefix, None, 1).await?;
        Ok(!page.items.is_empty())
    }

    /// The organisation's resource policy, as the evaluator reads it.
    pub(crate) async fn resource_policy(&self) -> Result<Option<Arc<Attached>>, StoreError> {
        match self.get(&RESOURCE_POLICY, &()).await? {
            Some(policy) => policy.attached(RESOURCE_POLICY.name()).map(Some),
            None => Ok(None),
        }
    }

    pub(crate) async fn tags(&self, id: &str) -> Result<Tags, StoreError> {
        let tags = self.get(&TAGS, &id.to_owned()).await?;
        Ok(tags.map(|tags| (*tags).clone()).unwrap_or_default())
    }
}

/// A control policy as the evaluator reads it.
fn document(found: &Found) -> Result<Arc<Document>, StoreError> {
    use std::sync::LazyLock;
    static ALL_ACTIONS: LazyLock<Arc<Document>> = LazyLock::new(|| {
        let text = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
        Arc::new(Document::parse(text, DocumentKind::ServiceControl).expect("the text above is an SCP"))
    });
    static ALL_RESOURCES: LazyLock<Arc<Document>> =
        LazyLock::new(|| Arc::new(Document::full_resource_control()));
    match (found, found.kind()) {
        (_, PolicyKind::Tag) => Err(lost(found.id())),
        (Found::Aws(_), PolicyKind::ServiceControl) => Ok(Arc::clone(&ALL_ACTIONS)),
        (Found::Aws(_), PolicyKind::ResourceControl) => Ok(Arc::clone(&ALL_RESOURCES)),
        (Found::Own(policy), PolicyKind::ServiceControl) => policy
            .content
            .document(DocumentKind::ServiceControl, POLICIES.name()),
        (Found::Own(policy), PolicyKind::ResourceControl) => policy
            .content
            .document(DocumentKind::ResourceControl, POLICIES.name()),
    }
}

fn lost(id: &str) -> StoreError {
    StoreError::BadRecord {
        table: ORGANIZATION.name(),
        reason: format!("{id} is referred to and does not exist"),
    }
}

/// A change of one organisation in the making.
pub(crate) struct Writer<'a> {
    tx: &'a WriteTx,
    scope: &'a Scope,
}

impl<'a> Writer<'a> {
    /// Changes the organisation in `scope`; whatever was assembled of any is out of date.
    pub(crate) fn new(tx: &'a WriteTx, scope: &'a Scope, generation: Generation) -> Writer<'a> {
        tx.cross_account_put(&Scope::global(), &GENERATION, &(), &generation);
        Writer { tx, scope }
    }

    pub(crate) fn put<K: store::Key, V: store::Record>(&self, table: &Table<K, V>, key: &K, record: &V) {
        self.tx.cross_account_put(self.scope, table, key, record);
    }

    pub(crate) fn delete<K: store::Key, V: store::Record>(&self, table: &Table<K, V>, key: &K) {
        self.tx.cross_account_delete(self.scope, table, key);
    }

    pub(crate) fn put_in<K: store::Key, V: store::Record>(
        &self,
        scope: &Scope,
        table: &Table<K, V>,
        key: &K,
        record: &V,
    ) {
        self.tx.cross_account_put(scope, table, key, record);
    }

    pub(crate) fn delete_in<K: store::Key, V: store::Record>(
        &self,
        scope: &Scope,
        table: &Table<K, V>,
        key: &K,
    ) {
        self.tx.cross_account_delete(scope, table, key);
    }

    pub(crate) fn put_organization(&self, organization: &Organization) {
        self.put(&ORGANIZATION, &(), organization);
    }

    /// Keeps tags, or that there are none.
    pub(crate) fn put_tags(&self, id: &str, tags: &Tags) {
        if tags.is_empty() {
            self.delete(&TAGS, &id.to_owned());
        } else {
            self.put(&TAGS, &id.to_owned(), tags);
        }
    }

    fn child_key(parent: &str, node: &Node) -> (String, String, String) {
        (parent.to_owned(), node.child_word().to_owned(), node.to_string())
    }

    /// Keeps a handshake, new or ended.
    pub(crate) fn put_handshake(&self, handshake: &Handshake) {
        let global = Scope::global();
        self.put_in(&global, &HANDSHAKES, &handshake.id, handshake);
        for party in [handshake.organization.clone(), handshake.account.to_string()] {
            self.put_in(&global, &HANDSHAKES_OF, &(party, handshake.id.clone()), &Mark {});
        }
    }

    /// Forgets a handshake.
    pub(crate) fn delete_handshake(&self, handshake: &Handshake) {
        let global = Scope::global();
        self.delete_in(&global, &HANDSHAKES, &handshake.id);
        for party in [handshake.organization.clone(), handshake.account.to_string()] {
            self.delete_in(&global, &HANDSHAKES_OF, &(party, handshake.id.clone()));
        }
    }

    /// Puts an account into the organisation.
    pub(crate) fn put_member(&self, organization: &Organization, member: &Member) {
        let node = Node::Account(member.account);
        let belonging = Belonging {
            organization: organization.id.clone(),
            management: organization.management,
        };
        self.put(&MEMBERS, &member.account, member);
        self.put(&CHILDREN, &Writer::child_key(&member.parent, &node), &Mark {});
        self.put_in(&Scope::regionless(member.account), &BELONGING, &(), &belonging);
    }

    /// Moves an account that is in the organisation.
    pub(crate) fn move_member(&self, member: &Member, parent: &str) {
        let node = Node::Account(member.account);
        self.delete(&CHILDREN, &Writer::child_key(&member.parent, &node));
        self.put(&CHILDREN, &Writer::child_key(parent, &node), &Mark {});
        let moved = Member {
            parent: parent.to_owned(),
            ..member.clone()
        };
        self.put(&MEMBERS, &member.account, &moved);
    }

    /// Takes an account out of the organisation, with what is on it.
    pub(crate) fn delete_member(&self, member: &Member, on_it: &OnNode) {
        let node = Node::Account(member.account);
        self.delete(&MEMBERS, &member.account);
        self.delete(&CHILDREN, &Writer::child_key(&member.parent, &node));
        self.delete_in(&Scope::regionless(member.account), &BELONGING, &());
        self.clear(on_it);
    }

    /// Keeps a new unit.
    pub(crate) fn put_unit(&self, unit: &Unit) {
        let node = Node::Unit(unit.id.clone());
        self.put(&UNITS, &unit.id, unit);
        self.put(&UNIT_NAMES, &(unit.parent.clone(), unit.name.clone()), &unit.id);
        self.put(&CHILDREN, &Writer::child_key(&unit.parent, &node), &Mark {});
    }

    /// Removes a unit, with what is on it.
    pub(crate) fn delete_unit(&self, unit: &Unit, on_it: &OnNode) {
        let node = Node::Unit(unit.id.clone());
        self.delete(&UNITS, &unit.id);
        self.delete(&UNIT_NAMES, &(unit.parent.clone(), unit.name.clone()));
        self.delete(&CHILDREN, &Writer::child_key(&unit.parent, &node));
        self.clear(on_it);
    }

    /// Removes policies and tags from a root, unit or account.
    pub(crate) fn clear(&self, on_it: &OnNode) {
        for policy in &on_it.attached {
            self.detach(&on_it.id, policy);
        }
        for kind in PolicyKind::ALL {
            self.delete(&DEFAULT_OFF, &(on_it.id.clone(), kind.word().to_owned()));
        }
        self.delete(&TAGS, &on_it.id);
    }

    pub(crate) fn attach(&self, target: &str, policy: &str, attachment: Attachment) {
        self.put(&ATTACHED, &(target.to_owned(), policy.to_owned()), &attachment);
        self.put(&TARGETS, &(policy.to_owned(), target.to_owned()), &attachment);
    }

    pub(crate) fn detach(&self, target: &str, policy: &str) {
        self.delete(&ATTACHED, &(target.to_owned(), policy.to_owned()));
        self.delete(&TARGETS, &(policy.to_owned(), target.to_owned()));
    }
}

/// What hangs on one root, unit or account.
pub(crate) struct OnNode {
    id: String,
    /// Ids of the organisation's own policies, of every season.
    attached: Vec<String>,
}

impl Rows<'_> {
    /// What would have to go with `node`.
    pub(crate) async fn on_node(&self, node: &Node) -> Result<OnNode, StoreError> {
        let id = node.to_string();
        let prefix = Prefix::<(String, String)>::first(&id);
        let attached = self.all(&ATTACHED, &prefix).await?;
        let attached = attached.into_iter().map(|((_, policy), _)| policy).collect();
        Ok(OnNode { id, attached })
    }
}

/// Commits a change of the organisation in `scope`. The permit proves that the caller may.
pub(crate) async fn write<P: Sync>(
    cx: &Cx,
    scope: &Scope,
    _permit: &Permit<P>,
    change: impl FnOnce(&Writer<'_>) + Send,
) -> Result<(), Error> {
    let generation = Generation(cx.random().bytes());
    cx.write(async move |tx: &mut WriteTx| {
        change(&Writer::new(tx, scope, generation));
        Ok(())
    })
    .await
}

/// Commits that a member is closed, here and in identity alike: none of its
/// credentials is accepted any more.
pub(crate) async fn write_closed(
    cx: &Cx,
    scope: &Scope,
    _permit: &Permit<()>,
    closed: &Member,
) -> Result<(), Error> {
    let generation = Generation(cx.random().bytes());
    cx.write(async move |tx: &mut WriteTx| {
        Writer::new(tx, scope, generation).put(&MEMBERS, &closed.account, closed);
        cx.close_account(tx, closed.account).await?;
        Ok(())
    })
    .await
}
