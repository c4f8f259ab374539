//! Whether what services rest on outside is well, for those who measure.
//!
//! A service that knows tells it at every look at the metrics, from the store, so
//! that every node of a cluster tells the same and nothing lingers.
//!
//! Absent by design: other values than well and not well; how long it has been
//! so, which whoever keeps metrics knows.

use futures_util::future::BoxFuture;
use ground::{AccountId, Region};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use store::{Store, StoreError};

use crate::door::Door;

/// Something outside that a service rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// What kind of thing: `external-key-store`.
    pub kind: &'static str,
    /// For whom it is there.
    pub account: AccountId,
    /// Where.
    pub region: Region,
    /// Its id.
    pub id: String,
    /// Whether it was well when it was last looked at.
    pub is_well: bool,
}

/// What a service tells of everything that it rests on, bounded in number.
pub type Conditions = for<'a> fn(&'a Store) -> BoxFuture<'a, Result<Vec<Condition>, StoreError>>;

type Labels = [(&'static str, String); 4];

/// The exposition text of all conditions, with its end; what cannot be read is left
/// out, and logged.
pub(crate) async fn text(door: &Door) -> String {
    let up: Family<Labels, Gauge> = Family::default();
    for service in &door.parts.services {
        let Some(conditions) = service.conditions else {
            continue;
        };
        match conditions(&door.parts.store).await {
            Ok(told) => {
                for condition in told {
                    let labels = [
                        ("kind", condition.kind.to_owned()),
                        ("account", condition.account.to_string()),
                        ("region", condition.region.as_str().to_owned()),
                        ("id", condition.id),
                    ];
                    up.get_or_create(&labels).set(condition.is_well.into());
                }
            }
            Err(error) => tracing::warn!(service = service.shape.name, %error, "no conditions are told"),
        }
    }
    let mut registry = Registry::with_prefix("palisade");
    registry.register("up", "Whether what a service rests on outside is well", up);
    let mut text = String::new();
    if let Err(error) = prometheus_client::encoding::text::encode(&mut text, &registry) {
        tracing::error!(%error, "conditions cannot be written");
    }
    text
}
