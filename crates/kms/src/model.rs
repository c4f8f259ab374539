//! The nouns of KMS and the rules between them. Pure: no store, no door.

pub mod alias;
pub mod ciphertext;
mod compiled_policy;
pub mod context;
pub mod custom_key_store;
pub(crate) mod derived;
pub mod generation;
pub mod grant;
pub mod key;
pub mod key_id;
pub mod managed;
pub mod material;
pub mod multi_region;
pub mod name;
pub mod policy;
pub mod purpose;
mod reach;
pub mod state;
pub mod stored_ciphertext;
pub mod tags;

pub use alias::{Alias, AliasName};
pub use ciphertext::CiphertextReference;
pub use context::EncryptionContext;
pub use custom_key_store::{Connection, Custody, CustomKeyStore, Place, StoreId};
pub use generation::{Generation, Origin};
pub use grant::{Grant, GrantId, Party, Terms};
pub use key::Key;
pub use key_id::KeyId;
pub use managed::{Managed, Manager};
pub use material::{Material, MaterialId};
pub use multi_region::MultiRegion;
pub use name::{KeyName, Target};
pub use policy::KeyPolicy;
pub use purpose::{Family, KeyUsage, Purpose};
pub use state::{DeletionWindow, Demand, KeyState, Standing};
pub use tags::Tags;
