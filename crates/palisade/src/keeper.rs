//! Asking whoever keeps a slot's key: another KMS, a PKCS#11 token, a TPM, a
//! running member of the cluster.
//!
//! It is asked in a helper process, the same program once more, which ends
//! with its answer. So a module that crashes or hangs takes no server down, and
//! PINs, credentials and TLS sessions lie in no server's memory.
//!
//! The helper reads an [`Order`], which holds no secret, as JSON until the end
//! of its standard input. It answers `!` and why not, or `=`, the 32 bytes of
//! the key and the [`Keeper`] as JSON.
//!
//! Invariant: a keeper is returned by [`Order::wrap`] only after it has given
//! the key back once.
//!
//! Absent by design: asking again. A start that fails is repeated by whoever
//! started it.

mod attestation_key;
mod kms;
mod peer;
mod pkcs11;
mod tpm2;
mod tpm_tools;

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use crypto::Random;
use crypto::slot::{KEY_FILE_BYTES, Keeper};
use ground::Secret;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::{Deserialize, Serialize};

/// The hidden subcommand that is the helper.
pub(crate) const HELPER: &str = "keeper-helper";

/// Most that is read of an order and of an answer, in bytes.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Longest that a helper may take. A token may ask a person to touch it.
const TIME_MAX: Duration = Duration::from_secs(60);

const GRANTED: u8 = b'=';
const REFUSED: u8 = b'!';

/// What a keeper is asked with. None of it is read from the slots: whoever can
/// write those shall not choose which code runs.
#[derive(Args, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Means {
    /// Asks the KMS of a slot with the credentials in `[default]` of this file; without it,
    /// with those of the systemd credential `palisade-seal-kms` or of the environment.
    #[arg(long, value_name = "FILE")]
    kms_credentials_file: Option<PathBuf>,
    /// The module of a slot's PKCS#11 token.
    #[arg(long, value_name = "FILE")]
    pkcs11_module: Option<PathBuf>,
    /// The token's user PIN, on the first line of a file; without it, that of the systemd
    /// credential `palisade-seal-pin`.
    #[arg(long, value_name = "FILE")]
    pkcs11_pin_file: Option<PathBuf>,
    /// The certificate (PEM) by which the peer of a slot knows this member.
    #[arg(long, value_name = "FILE")]
    peer_certificate: Option<PathBuf>,
    /// Its private key (PEM).
    #[arg(long, value_name = "FILE")]
    peer_key: Option<PathBuf>,
    /// Where the TPM is, as tpm2-tools name it. Default: the machine's own.
    #[arg(long, value_name = "TCTI")]
    tpm_tcti: Option<String>,
}

/// Who is to keep a new slot's key.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum Place {
    Kms {
        endpoint: String,
        region: String,
        key_id: String,
    },
    Peer {
        address: String,
        identity: String,
        /// The registers of this machine's TPM by which it is to be known, too.
        pcrs: Option<String>,
    },
    Pkcs11 {
        token: String,
        key: String,
    },
    Tpm2 {
        pcrs: Option<String>,
    },
}

/// What a helper is to do.
#[derive(Serialize, Deserialize)]
pub(crate) struct Order {
    means: Means,
    /// The store, to which the wrapped key is bound.
    store_id: String,
    task: Task,
}

#[derive(Serialize, Deserialize)]
enum Task {
    Wrap(Place),
    Unwrap(Keeper),
}

/// A slot's key.
type Key = Secret<[u8; KEY_FILE_BYTES]>;

impl Order {
    /// Makes a key and has it kept.
    ///
    /// # Errors
    ///
    /// Why the keeper did not take it or give it back.
    pub(crate) fn wrap(means: &Means, store_id: &str, place: Place) -> Result<(Keeper, Key)> {
        let (key, keeper) = Order::new(means, store_id, Task::Wrap(place)).ask()?;
        Ok((keeper, key))
    }

    /// Has a key given back.
    ///
    /// # Errors
    ///
    /// Why the keeper did not give it.
    pub(crate) fn unwrap(means: &Means, store_id: &str, keeper: &Keeper) -> Result<Key> {
        let asked = Order::new(means, store_id, Task::Unwrap(keeper.clone()));
        Ok(asked
            .ask()
            .with_context(|| format!("the {} slot stays shut", keeper.kind()))?
            .0)
    }

    fn new(means: &Means, store_id: &str, task: Task) -> Order {
        Order {
            means: means.clone(),
            store_id: store_id.to_owned(),
            task,
        }
    }

    /// Asks by a helper process.
    #[expect(
        clippy::disallowed_methods,
        reason = "keepers are asked in a process of their own"
    )]
    fn ask(&self) -> Result<(Key, Keeper)> {
        let program = std::env::current_exe().context("this program cannot be found")?;
        let mut helper = Command::new(program)
            .arg(HELPER)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("the helper cannot be started")?;
        let answer = exchange(&mut helper, &serde_json::to_vec(self)?);
        if answer.is_err() {
            // It may hang, or may have ended already.
            let _ = helper.kill();
        }
        let status = helper.wait().context("the helper cannot be waited for")?;
        let answer = answer?;
        match answer.expose().split_first() {
            Some((&GRANTED, rest)) if status.success() => {
                let (key, keeper) = rest
                    .split_first_chunk::<KEY_FILE_BYTES>()
                    .context("the helper's answer is cut off")?;
                let mut copy = Secret::new([0; KEY_FILE_BYTES]);
                copy.expose_mut().copy_from_slice(key);
                Ok((
                    copy,
                    serde_json::from_slice(keeper).context("the helper's answer is garbled")?,
                ))
            }
            Some((&REFUSED, why)) => bail!("{}", String::from_utf8_lossy(why)),
            _ => bail!("the helper ended without an answer ({status})"),
        }
    }

    /// Does it in this process. The helper's side.
    fn carry_out(self) -> Result<(Key, Keeper)> {
        let Order {
            means,
            store_id,
            task,
        } = self;
        let unwrap = |keeper: &Keeper| match keeper {
            Keeper::Kms(keeper) => kms::unwrap(&means, &store_id, keeper),
            Keeper::Peer(keeper) => peer::unwrap(&means, &store_id, keeper),
            Keeper::Pkcs11(keeper) => pkcs11::unwrap(&means, &store_id, keeper),
            Keeper::Tpm2(keeper) => tpm2::unwrap(&means, keeper),
        };
        match task {
            Task::Unwrap(keeper) => Ok((unwrap(&keeper)?, keeper)),
            Task::Wrap(place) => {
                let random = Random::system();
                let mut key = Secret::new(random.bytes());
                let keeper = match place {
                    Place::Kms {
                        endpoint,
                        region,
                        key_id,
                    } => Keeper::Kms(kms::wrap(
                        &means,
                        &store_id,
                        &[&endpoint, &region, &key_id],
                        &key,
                    )?),
                    Place::Peer {
                        address,
                        identity,
                        pcrs,
                    } => {
                        // The member makes the key: so it sends keys and never takes one.
                        let (keeper, made) = peer::wrap(&means, &store_id, (&address, &identity), pcrs)?;
                        key = made;
                        Keeper::Peer(keeper)
                    }
                    Place::Pkcs11 { token, key: label } => {
                        Keeper::Pkcs11(pkcs11::wrap(&means, &store_id, &token, &label, &key, &random)?)
                    }
                    Place::Tpm2 { pcrs } => Keeper::Tpm2(tpm2::wrap(&means, pcrs, &key)?),
                };
                if unwrap(&keeper)?.expose() != key.expose() {
                    bail!("the keeper gave another key back than it was given");
                }
                Ok((key, keeper))
            }
        }
    }
}

/// Sends an order and takes the answer, within [`TIME_MAX`].
fn exchange(helper: &mut Child, order: &[u8]) -> Result<Secret<Vec<u8>>> {
    let mut stdin = helper.stdin.take().context("the helper takes nothing")?;
    let mut stdout = helper.stdout.take().context("the helper says nothing")?;
    stdin.write_all(order).context("the helper takes no order")?;
    drop(stdin);
    // Never moved: a vector that grows leaves copies behind.
    let mut answer = Secret::new(vec![0; MESSAGE_BYTES_MAX]);
    let started = Instant::now();
    let mut length = 0;
    loop {
        let left = TIME_MAX
            .checked_sub(started.elapsed())
            .context("the keeper did not answer in time")?;
        let left = Timespec {
            tv_sec: i64::try_from(left.as_secs())?,
            tv_nsec: left.subsec_nanos().into(),
        };
        match poll(&mut [PollFd::new(&stdout, PollFlags::IN)], Some(&left)) {
            Ok(0) => bail!("the keeper did not answer in time"),
            Ok(_) => {}
            Err(error) if error == rustix::io::Errno::INTR => continue,
            Err(error) => return Err(error).context("the helper cannot be waited for"),
        }
        let rest = &mut answer.expose_mut()[length..];
        if rest.is_empty() {
            bail!("the helper's answer is too long");
        }
        match stdout.read(rest)? {
            0 => break,
            read => length += read,
        }
    }
    answer.expose_mut().truncate(length);
    Ok(answer)
}

/// Runs the helper: one order, one answer.
///
/// # Errors
///
/// If the order cannot be read or the answer not be written.
pub(crate) fn help() -> Result<()> {
    let mut order = Vec::new();
    std::io::stdin()
        .lock()
        .take(MESSAGE_BYTES_MAX as u64)
        .read_to_end(&mut order)?;
    let order: Order = serde_json::from_slice(&order).context("this is no order")?;
    let mut out = std::io::stdout().lock();
    match order.carry_out() {
        Ok((key, keeper)) => {
            out.write_all(&[GRANTED])?;
            out.write_all(key.expose())?;
            out.write_all(&serde_json::to_vec(&keeper)?)?;
        }
        Err(problem) => {
            out.write_all(&[REFUSED])?;
            out.write_all(format!("{problem:#}").as_bytes())?;
        }
    }
    Ok(out.flush()?)
}

/// The file that was named, or else the systemd credential of this name.
fn file_or_credential(named: Option<&PathBuf>, credential: &str) -> Option<PathBuf> {
    named.cloned().or_else(|| {
        let path = PathBuf::from(std::env::var_os("CREDENTIALS_DIRECTORY")?).join(credential);
        path.exists().then_some(path)
    })
}

fn whole(bytes: &Secret<Vec<u8>>) -> Result<Key> {
    let mut key = Secret::new([0; KEY_FILE_BYTES]);
    if bytes.expose().len() != KEY_FILE_BYTES {
        bail!(
            "the keeper gave {} bytes, not {KEY_FILE_BYTES}",
            bytes.expose().len()
        );
    }
    key.expose_mut().copy_from_slice(bytes.expose());
    Ok(key)
}
