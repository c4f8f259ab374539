//! A token that serves as a cluster: one login, and keys found by their labels.
//!
//! A module knows one login for all sessions of a process. Whoever uses a key
//! holds the login for reading, who logs in or out holds it for writing: so no
//! one is logged out in the middle of his work.
//!
//! A key is looked for at every use. A handle that was kept might be another
//! key's after somebody else has been at the token.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use cryptoki::context::Pkcs11;
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, AttributeType, ObjectHandle};
use cryptoki::session::{Session, SessionState, UserType};
use cryptoki::types::AuthPin;
use ground::Secret;

use crate::message::{LABELS_MAX, Refusal, Reply, Request, Setup, Vectors};
use crate::module::{self, IV_BYTES, TAG_BITS};

const TAG_BYTES: usize = 16;

/// Most random bytes in one call.
const RANDOM_BYTES_MAX: u32 = 4_096;

/// `CKR_AEAD_DECRYPT_FAILED` of PKCS #11 3.0, which `cryptoki` has no name for.
const AEAD_DECRYPT_FAILED: std::ffi::c_ulong = 0x42;

/// Makes a vector of AES-GCM.
pub(crate) type Vector = fn() -> [u8; IV_BYTES];

/// A token, and who is logged in to it.
pub(crate) struct Cluster {
    context: Pkcs11,
    setup: Setup,
    vector: Vector,
    /// The PIN of who is logged in.
    login: RwLock<Option<Secret<Vec<u8>>>>,
    /// The session that logged in. While it is open the login lasts, whatever
    /// becomes of the others.
    anchor: Mutex<Option<Session>>,
}

impl Cluster {
    /// Loads the module.
    pub(crate) fn load(setup: Setup, vector: Vector) -> Result<Cluster, Refusal> {
        let context = module::load(&setup.module)
            .map_err(|(doing, error)| Refusal::Broken(format!("{doing}: {error}")))?;
        Ok(Cluster {
            context,
            setup,
            vector,
            login: RwLock::default(),
            anchor: Mutex::default(),
        })
    }

    /// A session with the one token of the label.
    fn session(&self) -> Result<Session, Refusal> {
        let slots = module::slots(&self.context, &self.setup.token)
            .map_err(|(doing, error)| refusal(doing, &error))?;
        let [slot] = slots[..] else {
            return Err(Refusal::NoToken(format!(
                "{} tokens are labelled {}, not one",
                slots.len(),
                self.setup.token
            )));
        };
        self.context
            .open_rw_session(slot)
            .map_err(|error| refusal("opening a session", &error))
    }

    fn log_in(&self, pin: &[u8]) -> Result<(), Refusal> {
        let mut login = self.login.write().unwrap_or_else(PoisonError::into_inner);
        let mut anchor = self.anchor.lock().unwrap_or_else(PoisonError::into_inner);
        if login.as_ref().is_some_and(|known| known.expose() == pin)
            && anchor.as_ref().is_some_and(is_logged_in)
        {
            return Ok(());
        }
        *login = None;
        if let Some(old) = anchor.take() {
            // It may be dead already.
            let _ = old.logout();
        }
        let session = self.session()?;
        // No token takes a PIN that is no text.
        let text = std::str::from_utf8(pin).map_err(|_| Refusal::WrongPin)?;
        // Wiped when dropped, as `Secret` is.
        let given = AuthPin::new(text.into());
        let mut told = session.login(UserType::User, Some(&given));
        if let Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) = told {
            // A session that we lost sight of. The PIN must be right all the same.
            let _ = session.logout();
            told = session.login(UserType::User, Some(&given));
        }
        told.map_err(|error| login_refusal(&error))?;
        *login = Some(Secret::new(pin.to_vec()));
        *anchor = Some(session);
        Ok(())
    }

    /// Gives the user another PIN, who stays logged in.
    fn change_pin(&self, from: &[u8], to: &[u8]) -> Result<(), Refusal> {
        let mut login = self.login.write().unwrap_or_else(PoisonError::into_inner);
        let anchor = self.anchor.lock().unwrap_or_else(PoisonError::into_inner);
        let session = anchor.as_ref().filter(|session| is_logged_in(session));
        let (Some(session), true) = (session, login.is_some()) else {
            return Err(Refusal::LoggedOut);
        };
        let pin = |bytes: &[u8]| {
            let text = std::str::from_utf8(bytes).map_err(|_| Refusal::WrongPin)?;
            Ok(AuthPin::new(text.into()))
        };
        session
            .set_pin(&pin(from)?, &pin(to)?)
            .map_err(|error| match &error {
                Error::Pkcs11(RvError::PinIncorrect, _) => Refusal::WrongPin,
                Error::Pkcs11(RvError::PinLocked, _) => Refusal::LockedOut,
                _ => refusal("changing the PIN", &error),
            })?;
        *login = Some(Secret::new(to.to_vec()));
        Ok(())
    }

    fn log_out(&self) {
        let mut login = self.login.write().unwrap_or_else(PoisonError::into_inner);
        let mut anchor = self.anchor.lock().unwrap_or_else(PoisonError::into_inner);
        *login = None;
        if let Some(session) = anchor.take() {
            // A session that is dead is logged out.
            let _ = session.logout();
        }
    }
}

/// One who serves requests, with a session of his own.
pub(crate) struct Worker {
    cluster: Arc<Cluster>,
    session: Option<Session>,
}

impl Worker {
    pub(crate) fn of(cluster: Arc<Cluster>) -> Worker {
        Worker {
            cluster,
            session: None,
        }
    }

    /// Does what is asked.
    pub(crate) fn serve(&mut self, request: &Request<'_>) -> Reply {
        let nothing = |()| Secret::new(Vec::new());
        match request {
            Request::Active => self.cluster.session().map(drop).map(nothing),
            Request::ChangePin { from, to } => self.cluster.change_pin(from.0, to.0).map(nothing),
            Request::LogIn { pin } => self.cluster.log_in(pin.0).map(nothing),
            Request::LogOut => {
                self.cluster.log_out();
                Ok(Secret::new(Vec::new()))
            }
            Request::Decrypt { .. }
            | Request::Delete { .. }
            | Request::Encrypt { .. }
            | Request::Labels { .. }
            | Request::Make { .. }
            | Request::Random { .. } => {
                let login = self.cluster.login.read().unwrap_or_else(PoisonError::into_inner);
                if login.is_none() {
                    return Err(Refusal::LoggedOut);
                }
                let session = match self.session.take() {
                    Some(session) => session,
                    None => self.cluster.session()?,
                };
                let reply = self.cluster.use_key(&session, request);
                // A failure may have left the session in the middle of something.
                if matches!(reply, Ok(_) | Err(Refusal::NoSuchKey | Refusal::Exists)) {
                    self.session = Some(session);
                }
                reply
            }
        }
    }
}

impl Cluster {
    fn use_key(&self, session: &Session, request: &Request<'_>) -> Reply {
        let nothing = || Secret::new(Vec::new());
        match request {
            Request::Decrypt {
                label,
                associated,
                ciphertext,
            } => decrypt(session, label, associated, ciphertext),
            Request::Delete { label } => {
                let key = find(session, label)?;
                session
                    .destroy_object(key)
                    .map_err(|error| refusal("deleting the key", &error))?;
                Ok(nothing())
            }
            Request::Encrypt {
                label,
                associated,
                plaintext,
            } => self
                .encrypt(session, label, associated, plaintext.0)
                .map(Secret::new),
            Request::Labels { after } => labels(session, after).map(Secret::new),
            Request::Make { label } => make(session, label).map(|()| nothing()),
            Request::Random { bytes } => {
                let bytes = (*bytes).min(RANDOM_BYTES_MAX);
                session
                    .generate_random_vec(bytes)
                    .map(Secret::new)
                    .map_err(|error| refusal("making random bytes", &error))
            }
            Request::Active | Request::ChangePin { .. } | Request::LogIn { .. } | Request::LogOut => {
                Ok(nothing())
            }
        }
    }

    fn encrypt(
        &self,
        session: &Session,
        label: &str,
        associated: &[u8],
        plaintext: &[u8],
    ) -> Result<Vec<u8>, Refusal> {
        let key = find(session, label)?;
        let mut iv = match self.setup.vectors {
            Vectors::Module => [0; IV_BYTES],
            Vectors::Ours => (self.vector)(),
        };
        let failed = |error: Error| refusal("encrypting", &error);
        let gcm = GcmParams::new(&mut iv, associated, TAG_BITS.into()).map_err(failed)?;
        let ciphertext = session
            .encrypt(&Mechanism::AesGcm(gcm), key, plaintext)
            .map_err(failed)?;
        // A module that makes vectors has written its own there.
        if iv == [0; IV_BYTES] {
            return Err(Refusal::Unwilling(
                "the module makes no vectors of its own".to_owned(),
            ));
        }
        if ciphertext.len() != plaintext.len() + TAG_BYTES {
            return Err(Refusal::Broken(format!(
                "the module made {} bytes of ciphertext and tag of {} in clear",
                ciphertext.len(),
                plaintext.len()
            )));
        }
        Ok([iv.as_slice(), &ciphertext].concat())
    }
}

fn decrypt(session: &Session, label: &str, associated: &[u8], ciphertext: &[u8]) -> Reply {
    let key = find(session, label)?;
    let Some((iv, sealed)) = ciphertext.split_first_chunk::<IV_BYTES>() else {
        return Err(Refusal::Forged);
    };
    if sealed.len() < TAG_BYTES {
        return Err(Refusal::Forged);
    }
    let mut iv = *iv;
    let gcm = GcmParams::new(&mut iv, associated, TAG_BITS.into())
        .map_err(|error| refusal("decrypting", &error))?;
    let error = match session.decrypt(&Mechanism::AesGcm(gcm), key, sealed) {
        Ok(plaintext) => return Ok(Secret::new(plaintext)),
        Err(error) => error,
    };
    match error {
        Error::Pkcs11(
            RvError::EncryptedDataInvalid | RvError::EncryptedDataLenRange | RvError::DataInvalid,
            _,
        )
        | Error::Pkcs11(RvError::UnknownErrorCode(AEAD_DECRYPT_FAILED), _) => Err(Refusal::Forged),
        // What SoftHSM says of a wrong tag, and any module of what went wrong in
        // itself. It is the tag if the token still knows us and the key.
        Error::Pkcs11(RvError::GeneralError | RvError::FunctionFailed, _)
            if is_logged_in(session) && find(session, label).is_ok() =>
        {
            Err(Refusal::Forged)
        }
        error => Err(refusal("decrypting", &error)),
    }
}

fn make(session: &Session, label: &str) -> Result<(), Refusal> {
    match find(session, label) {
        Err(Refusal::NoSuchKey) => {}
        Err(other) => return Err(other),
        Ok(_) => return Err(Refusal::Exists),
    }
    let failed = |error: Error| refusal("making a key", &error);
    let key = session
        .generate_key(&Mechanism::AesKeyGen, &module::key_template(label))
        .map_err(failed)?;
    // A module may take a wish without granting it.
    let wanted = [AttributeType::Sensitive, AttributeType::Extractable];
    let granted = session.get_attributes(key, &wanted).map_err(failed)?;
    if granted.contains(&Attribute::Sensitive(true)) && granted.contains(&Attribute::Extractable(false)) {
        return Ok(());
    }
    session.destroy_object(key).map_err(failed)?;
    Err(Refusal::Unwilling(
        "the module makes keys that can be taken out of it".to_owned(),
    ))
}

/// Labels of keys that KMS may have made, one a line.
fn labels(session: &Session, after: &str) -> Result<Vec<u8>, Refusal> {
    let failed = |error: Error| refusal("listing the keys", &error);
    let mut found = BTreeSet::new();
    for key in module::all_keys(session).map_err(failed)? {
        let told = session
            .get_attributes(key, &[AttributeType::Label])
            .map_err(failed)?;
        let label = told.into_iter().find_map(|attribute| match attribute {
            Attribute::Label(label) => String::from_utf8(label).ok(),
            _ => None,
        });
        found.extend(label.filter(|label| is_key_id(label) && label.as_str() > after));
    }
    // Private keys are not seen by who is not logged in.
    if found.is_empty() && !is_logged_in(session) {
        return Err(Refusal::LoggedOut);
    }
    let mut lines = Vec::new();
    for label in found.into_iter().take(LABELS_MAX) {
        lines.extend_from_slice(label.as_bytes());
        lines.push(b'\n');
    }
    Ok(lines)
}

/// Whether it is a UUID, as the ids of KMS keys in clusters are.
fn is_key_id(label: &str) -> bool {
    const HYPHENS: [usize; 4] = [8, 13, 18, 23];
    label.len() == 36
        && label.bytes().enumerate().all(|(at, byte)| match byte {
            b'-' => HYPHENS.contains(&at),
            b'0'..=b'9' | b'a'..=b'f' => !HYPHENS.contains(&at),
            _ => false,
        })
}

/// The one key of a label.
fn find(session: &Session, label: &str) -> Result<ObjectHandle, Refusal> {
    let found = module::keys(session, label).map_err(|error| refusal("looking for the key", &error))?;
    match found[..] {
        [key] => Ok(key),
        // Private keys are not seen by who is not logged in.
        [] if !is_logged_in(session) => Err(Refusal::LoggedOut),
        [] => Err(Refusal::NoSuchKey),
        _ => Err(Refusal::Unwilling(format!(
            "the token has {} AES keys of this label",
            found.len()
        ))),
    }
}

fn is_logged_in(session: &Session) -> bool {
    session
        .get_session_info()
        .is_ok_and(|info| info.session_state() == SessionState::RwUser)
}

/// What an error of the module comes to.
fn refusal(doing: &'static str, error: &Error) -> Refusal {
    let told = format!("{doing}: {error}");
    let Error::Pkcs11(value, _) = error else {
        return Refusal::Broken(told);
    };
    match value {
        // A session that is gone took its login along.
        RvError::UserNotLoggedIn | RvError::SessionHandleInvalid | RvError::SessionClosed => {
            Refusal::LoggedOut
        }
        RvError::TokenNotPresent
        | RvError::TokenNotRecognized
        | RvError::DeviceRemoved
        | RvError::SlotIdInvalid => Refusal::NoToken(told),
        RvError::KeyHandleInvalid | RvError::ObjectHandleInvalid => Refusal::NoSuchKey,
        RvError::ActionProhibited
        | RvError::AttributeTypeInvalid
        | RvError::AttributeValueInvalid
        | RvError::FunctionNotSupported
        | RvError::KeyFunctionNotPermitted
        | RvError::KeySizeRange
        | RvError::KeyTypeInconsistent
        | RvError::MechanismInvalid
        | RvError::MechanismParamInvalid
        | RvError::RandomNoRng
        | RvError::SessionReadOnly
        | RvError::TemplateIncomplete
        | RvError::TemplateInconsistent
        | RvError::TokenWriteProtected => Refusal::Unwilling(told),
        // Whatever else modules say: nothing that a caller could mend.
        _ => Refusal::Broken(told),
    }
}

/// What an error of a login comes to.
fn login_refusal(error: &Error) -> Refusal {
    let Error::Pkcs11(value, _) = error else {
        return refusal("logging in", error);
    };
    match value {
        RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange | RvError::PinExpired => {
            Refusal::WrongPin
        }
        RvError::PinLocked => Refusal::LockedOut,
        RvError::UserPinNotInitialized => Refusal::NoUser,
        RvError::UserAnotherAlreadyLoggedIn | RvError::UserTooManyTypes => Refusal::UserElsewhere,
        _ => refusal("logging in", error),
    }
}
