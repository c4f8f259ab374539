//! Clusters of hardware security modules that live in the test's memory: real
//! keys, real AES-GCM, and whatever goes wrong with a real one when told to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crypto::Random;
use crypto::aead::AeadKey;
use ground::{AccountId, Region, Secret};
use kms::hsm::{Answer, Cluster, Clusters, KeyError, LoginError};
use tokio::sync::Semaphore;

use crate::world::HOME;

/// The id of the first cluster.
pub(crate) const FIRST: &str = "cluster-2222222222a";
/// The id of a cluster made from a backup of the first.
pub(crate) const SECOND: &str = "cluster-2222222222b";
/// The id of a cluster that has nothing to do with them.
pub(crate) const OTHER: &str = "cluster-2222222222c";
/// The password of `kmsuser` in each.
pub(crate) const PASSWORD: &str = "kmsPswd-nobody-may-see";

/// What is in a cluster, and what is wrong with it.
#[derive(Default)]
pub(crate) struct Inside {
    pub(crate) keys: BTreeMap<String, [u8; 32]>,
    /// The labels of keys that were deleted.
    pub(crate) deleted: Vec<String>,
    pub(crate) logged_in: bool,
    /// How often somebody tried to log in.
    pub(crate) logins: usize,
    pub(crate) inactive: bool,
    pub(crate) login_fails: Option<LoginError>,
    /// Whether a login is never answered.
    pub(crate) hangs: bool,
    /// The password of `kmsuser`, if it is not [`PASSWORD`] any more.
    pub(crate) password: Option<String>,
    /// Whether he is to get another at each connection.
    pub(crate) rotates: bool,
    /// What goes wrong then, and whether he has it all the same.
    pub(crate) change_fails: Option<(LoginError, bool)>,
    pub(crate) key_fails: Option<KeyError>,
}

/// A cluster.
pub(crate) struct Module {
    anchor: &'static str,
    pub(crate) inside: Mutex<Inside>,
    /// Turns at making keys: a test may hold them.
    pub(crate) making: Semaphore,
    random: Random,
}

impl std::fmt::Debug for Module {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.anchor)
    }
}

/// The clusters of [`HOME`], in every region.
#[derive(Debug)]
pub(crate) struct Modules(BTreeMap<&'static str, Arc<Module>>);

impl Modules {
    pub(crate) fn new() -> Arc<Modules> {
        let module = |anchor| {
            Arc::new(Module {
                anchor,
                inside: Mutex::default(),
                making: Semaphore::new(Semaphore::MAX_PERMITS),
                random: Random::system(),
            })
        };
        let all = [
            (FIRST, "anchor one"),
            (SECOND, "anchor one"),
            (OTHER, "anchor two"),
        ];
        Arc::new(Modules(all.map(|(id, anchor)| (id, module(anchor))).into()))
    }

    pub(crate) fn module(&self, id: &str) -> &Arc<Module> {
        &self.0[id]
    }
}

impl Clusters for Modules {
    fn cluster(&self, account: AccountId, _region: &Region, id: &str) -> Option<Arc<dyn Cluster>> {
        let module = self.0.get(id).filter(|_| account.to_string() == HOME)?;
        Some(Arc::clone(module) as Arc<dyn Cluster>)
    }
}

impl Module {
    fn ready(&self) -> Result<(), KeyError> {
        let inside = self.inside.lock().unwrap();
        match &inside.key_fails {
            Some(error) => Err(error.clone()),
            None if !inside.logged_in => Err(KeyError::LoggedOut),
            None => Ok(()),
        }
    }

    fn key(&self, label: &str) -> Result<AeadKey, KeyError> {
        self.ready()?;
        let inside = self.inside.lock().unwrap();
        let key = inside.keys.get(label).ok_or(KeyError::NoSuchKey)?;
        Ok(AeadKey::new(key))
    }
}

impl Cluster for Module {
    fn is_trust_anchor(&self, pem: &str) -> bool {
        pem == self.anchor
    }

    fn is_active(&self) -> Answer<'_, bool> {
        Box::pin(async { !self.inside.lock().unwrap().inactive })
    }

    fn log_in<'a>(&'a self, password: &'a Secret<String>) -> Answer<'a, Result<(), LoginError>> {
        Box::pin(async {
            let hangs = self.inside.lock().unwrap().hangs;
            if hangs {
                self.inside.lock().unwrap().logins += 1;
                std::future::pending::<()>().await;
            }
            let mut inside = self.inside.lock().unwrap();
            inside.logins += 1;
            inside.logged_in = false;
            if let Some(error) = &inside.login_fails {
                return Err(error.clone());
            }
            if password.expose() != inside.password.as_deref().unwrap_or(PASSWORD) {
                return Err(LoginError::InvalidCredentials);
            }
            inside.logged_in = true;
            Ok(())
        })
    }

    fn rotates_password(&self) -> bool {
        self.inside.lock().unwrap().rotates
    }

    fn change_password<'a>(
        &'a self,
        from: &'a Secret<String>,
        to: &'a Secret<String>,
    ) -> Answer<'a, Result<(), LoginError>> {
        Box::pin(async {
            let mut inside = self.inside.lock().unwrap();
            assert!(inside.logged_in, "only who is logged in changes his password");
            if from.expose() != inside.password.as_deref().unwrap_or(PASSWORD) {
                return Err(LoginError::InvalidCredentials);
            }
            let fails = inside.change_fails.clone();
            if fails.as_ref().is_none_or(|(_, done)| *done) {
                inside.password = Some(to.expose().clone());
            }
            fails.map_or(Ok(()), |(error, _)| Err(error))
        })
    }

    fn log_out(&self) -> Answer<'_, ()> {
        Box::pin(async { self.inside.lock().unwrap().logged_in = false })
    }

    fn make_key<'a>(&'a self, label: &'a str) -> Answer<'a, Result<(), KeyError>> {
        Box::pin(async {
            self.making.acquire().await.unwrap().forget();
            self.ready()?;
            let mut inside = self.inside.lock().unwrap();
            if inside.keys.contains_key(label) {
                return Err(KeyError::Exists);
            }
            inside.keys.insert(label.to_owned(), self.random.bytes());
            Ok(())
        })
    }

    fn delete_key<'a>(&'a self, label: &'a str) -> Answer<'a, Result<(), KeyError>> {
        Box::pin(async {
            self.ready()?;
            let mut inside = self.inside.lock().unwrap();
            inside.keys.remove(label).ok_or(KeyError::NoSuchKey)?;
            inside.deleted.push(label.to_owned());
            Ok(())
        })
    }

    fn encrypt<'a>(
        &'a self,
        label: &'a str,
        associated: &'a [u8],
        plaintext: &'a [u8],
    ) -> Answer<'a, Result<Vec<u8>, KeyError>> {
        Box::pin(async {
            let vector: [u8; 12] = self.random.bytes();
            let mut out = vector.to_vec();
            self.key(label)?
                .seal(vector, associated, plaintext, &mut out)
                .unwrap();
            Ok(out)
        })
    }

    fn decrypt<'a>(
        &'a self,
        label: &'a str,
        associated: &'a [u8],
        ciphertext: &'a [u8],
    ) -> Answer<'a, Result<Secret<Vec<u8>>, KeyError>> {
        Box::pin(async {
            let key = self.key(label)?;
            let (vector, sealed) = ciphertext.split_first_chunk().ok_or(KeyError::Forged)?;
            key.open(*vector, associated, sealed)
                .map_err(|_| KeyError::Forged)
        })
    }

    fn random(&self, bytes: usize) -> Answer<'_, Result<Secret<Vec<u8>>, KeyError>> {
        Box::pin(async move {
            self.ready()?;
            Ok(Secret::new(vec![0xab; bytes]))
        })
    }
}
