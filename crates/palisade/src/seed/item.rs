//! One thing of the seed while it is brought in: who it is, where it stands in
//! the file, and the calls made for it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use gate::Door;
use ground::{AccountId, Region};
use shape::Operation;
use toml::Spanned;
use wire::WireFault;

use super::Seed;

/// A thing of the seed.
pub(super) struct Item<'a> {
    pub(super) seed: &'a Seed,
    pub(super) door: &'a Arc<Door>,
    pub(super) account: AccountId,
    /// The access key of the account's root user.
    pub(super) root: &'a str,
    /// Where its calls are made.
    pub(super) region: Region,
    /// `FILE:LINE`
    pub(super) place: String,
    /// `user alice of account 111122223333`
    pub(super) name: String,
}

impl Item<'_> {
    /// Something of this account, by its noun and the name that the file gives it.
    pub(super) fn of(&self, noun: &str, name: &Spanned<String>) -> Item<'_> {
        self.part(&format!("{noun} {}", name.get_ref()), name)
    }

    /// Something that belongs to this thing, and stands elsewhere in the file.
    pub(super) fn part<T>(&self, what: &str, at: &Spanned<T>) -> Item<'_> {
        Item {
            seed: self.seed,
            door: self.door,
            account: self.account,
            root: self.root,
            region: self.region.clone(),
            place: self.seed.place(at.span().start),
            name: format!("{what} of {}", self.name),
        }
    }

    /// Something is wrong with this thing.
    pub(super) fn problem(&self, problem: impl fmt::Display) -> anyhow::Error {
        anyhow!("{}: {}: {problem}", self.place, self.name)
    }

    /// It is there, and otherwise than the seed wants it.
    pub(super) fn differs(&self, what: &str) -> anyhow::Error {
        self.problem(format!(
            "it is there already with another {what}. Change the seed, or what is there, or begin with an empty \
             --data directory"
        ))
    }

    /// Refuses a thing that is there with another `what` than the seed says;
    /// what the seed leaves out may be anything.
    pub(super) fn same<T: PartialEq>(&self, what: &str, wanted: Option<&T>, found: Option<&T>) -> Result<()> {
        if wanted.is_some() && wanted != found {
            return Err(self.differs(what));
        }
        Ok(())
    }

    /// Refuses a thing that lacks a tag that the seed gives it.
    pub(super) fn same_tags<'t>(
        &self,
        wanted: &BTreeMap<String, String>,
        found: impl Iterator<Item = (&'t str, &'t str)>,
    ) -> Result<()> {
        let found: BTreeMap<&str, &str> = found.collect();
        for (key, value) in wanted {
            if found.get(key.as_str()) != Some(&value.as_str()) {
                return Err(self.differs(&format!("value of the tag {key:?}, or without it")));
            }
        }
        Ok(())
    }

    /// Calls an operation as the account's root user.
    pub(super) async fn call<O: Operation>(&self, input: impl Fn() -> O::Input + Send) -> Result<O::Output> {
        let called = self.door.call_within::<O>(self.root, &self.region, input).await;
        called.map_err(|fault| self.refused::<O>(&fault))
    }

    /// Looks for something; `None` if there is no such thing.
    pub(super) async fn look<O: Operation>(
        &self,
        input: impl Fn() -> O::Input + Send,
    ) -> Result<Option<O::Output>> {
        match self.door.call_within::<O>(self.root, &self.region, input).await {
            Ok(found) => Ok(Some(found)),
            Err(fault) if matches!(fault.code.as_ref(), "NoSuchEntity" | "NotFoundException") => Ok(None),
            Err(fault) => Err(self.refused::<O>(&fault)),
        }
    }

    fn refused<O: Operation>(&self, fault: &WireFault) -> anyhow::Error {
        let message = fault.message.as_deref().unwrap_or("no more is said");
        self.problem(format!("{} refused it: {}: {message}", O::SHAPE.name, fault.code))
    }
}

/// Whether two documents say the same, however they are written.
pub(super) fn same_document(one: &str, other: &str) -> bool {
    let parsed = |text| serde_json::from_str::<serde_json::Value>(text).ok();
    one == other || parsed(one).is_some_and(|one| Some(one) == parsed(other))
}
