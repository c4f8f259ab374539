//! KES for S3 stores that were left without it, in front of an AWS-compatible
//! KMS.
//!
//! A client is who holds the private key of its certificate, and is mapped to
//! an AWS profile: each of its calls is made with that profile's credentials.
//! So IAM and key policies decide, and the record names that principal; the
//! bridge itself has no rights, no keys and no state.
//!
//! | KES | KMS |
//! |---|---|
//! | a key `NAME` | the alias `alias/PREFIX/NAME`, and the key behind it |
//! | a context | the pair `kes:context` of the encryption context, in base64 |
//!
//! Absent by design: an administrator's identity, and policies of its own.

mod calls;
mod listen;
mod settings;
mod tls;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use tokio_rustls::TlsAcceptor;

use crate::remote_kms::RemoteKms;

pub(crate) use listen::serve;
pub(crate) use settings::Settings;

/// What answers.
pub(crate) struct Bridge {
    clients: HashMap<String, Client>,
    /// `alias/kes/`
    prefix: String,
    started: Instant,
}

/// A client, and as whom the KMS is asked for it.
struct Client {
    profile: String,
    kms: RemoteKms,
}

impl Bridge {
    /// What `settings` say, and what TLS must show and demand.
    ///
    /// # Errors
    ///
    /// If certificate or key cannot be used, or a profile has no credentials or no
    /// endpoint that may be asked.
    pub(crate) fn new(settings: Settings) -> Result<(Bridge, TlsAcceptor)> {
        let tls = tls::acceptor(&settings.tls)?;
        let kms = RemoteKms::new(
            settings.endpoints,
            settings.region.map(|region| region.to_string()),
        );
        let mut clients = HashMap::new();
        for identity in settings.identities {
            let kms = kms.of_profile(&identity.profile);
            kms.check()
                .with_context(|| format!("the KMS cannot be asked for the identity {}", identity.id))?;
            let client = Client {
                profile: identity.profile,
                kms,
            };
            clients.insert(identity.id, client);
        }
        let bridge = Bridge {
            clients,
            prefix: format!("alias/{}/", settings.prefix),
            started: Instant::now(),
        };
        Ok((bridge, TlsAcceptor::from(Arc::new(tls))))
    }
}
