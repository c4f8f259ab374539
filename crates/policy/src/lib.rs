//! The IAM policy language: parse, match, decide, explain.
//!
//! A [`Document`] is read and compiled once, shared, and weighed often. A
//! [`Request`] says who asks for what; [`Policies`] gathers all that applies
//! to it. [`decide`] answers on the path of every request, [`explain`] gives
//! the same answer with all of its reasons, and [`denial_text`] says it to the
//! caller in AWS's words.
//!
//! ```
//! use std::sync::Arc;
//! use policy::{Attached, Context, Document, DocumentKind, Holder, Policies, Principal, Request, decide};
//!
//! let text = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "kms:List*", "Resource": "*"}}"#;
//! let document = Arc::new(Document::parse(text, DocumentKind::Identity).unwrap());
//! let attached = [Attached::inline("lists", Holder::User("bob".into()), document)];
//! let account = ground::AccountId::parse("123456789012").unwrap();
//! let bob = Principal::user(account, "AIDAQEAAAAAEXAMPLE234", "/", "bob");
//! let context = Context::new();
//!
//! let policies = Policies { identity: &attached, ..Policies::default() };
//! let asked = |action| Request::new(&bob, action, "*", None, &context);
//! assert!(decide(&asked("kms:ListKeys"), &policies).is_allow());
//! assert!(!decide(&asked("kms:CreateKey"), &policies).is_allow());
//! ```
//!
//! Everything here is pure: no clock, no store, no I/O. The time of a request
//! is in its context like any other fact.
//!
//! Absent by design: which operations need no permission at all
//! (`sts:GetCallerIdentity`), which services resource control policies reach,
//! and who is exempt as management account. Callers know, and leave out what
//! does not apply.

pub mod limits;

mod action;
mod arn_pattern;
mod change;
mod condition;
mod context;
mod decision;
mod denial;
mod document;
mod evaluate;
mod index;
mod json;
mod least;
mod lint;
mod malformed;
mod memory;
mod named;
mod pattern;
mod principal;
mod principal_text;
mod reading;
mod request;
mod statement;
mod trace;
mod variable;
mod word;

pub use change::Change;
pub use context::{Context, KeyName, Value};
pub use decision::{Allowance, Decision, Denial, Ground, PolicyType};
pub use denial::{denial_text, denial_text_without_reason};
pub use document::{Document, DocumentKind, Version};
pub use evaluate::decide;
pub use least::{Deed, Fulfilled, least_policy};
pub use lint::{Finding, Severity, Surroundings, lint};
pub use malformed::{Malformed, Reason};
pub use named::Naming;
pub use principal::{Parent, Principal, Who};
pub use principal_text::replace_principals;
pub use reading::Reading;
pub use request::{
    Attached, GrantAllow, Holder, Level, Policies, Request, ResourcePolicy, ResourcePolicyKind,
};
pub use statement::{Effect, Position, Statement};
pub use trace::{
    Mismatch, PolicyTrace, Standing, StatementTrace, Step, StepVerdict, Trace, UnmetCondition, explain,
};
