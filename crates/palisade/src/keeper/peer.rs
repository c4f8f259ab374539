//! A running member of the cluster; see [`crate::peer`].

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use crypto::slot::{KEY_FILE_BYTES, Kept, PeerKeeper, PeerTpm};
use ground::Secret;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::attestation_key::AttestationKey;
use super::tpm_tools::check;
use super::{Key, Means};
use crate::certificate::{self, OneServer};
use crate::peer::proof::question;
use crate::peer::{ASKED, FRAME_BYTES_MAX, GRANTED, Order, REFUSED, Task, binding, is_identity};

/// Longest wait for a connection, and for each piece of an answer.
const WAIT: Duration = Duration::from_secs(10);

/// Has the member that address and identity name make a key and seal it for us, and
/// for the TPM of this machine if its registers are named.
pub(super) fn wrap(
    means: &Means,
    store_id: &str,
    (address, peer): (&str, &str),
    pcrs: Option<String>,
) -> Result<(PeerKeeper, Key)> {
    if !is_identity(peer) {
        bail!("{peer} is no identity as `palisade seal identity` prints it");
    }
    let member = own_identity(means)?;
    let key = match pcrs {
        Some(pcrs) => {
            check(&pcrs)?;
            Some((AttestationKey::open(means)?, pcrs))
        }
        None => None,
    };
    let order = Order {
        store: store_id.to_owned(),
        task: match &key {
            Some((key, _)) => Task::WrapForTpm(Kept::new(key.public())?),
            None => Task::Wrap,
        },
    };
    let quote = key.as_ref().map(|(key, pcrs)| (key, &pcrs[..]));
    let (made, ciphertext) = ask(means, (address, peer), &order, quote)?;
    let keeper = PeerKeeper {
        address: address.to_owned(),
        peer: peer.to_owned(),
        member,
        tpm: key.map(|(key, pcrs)| PeerTpm {
            key: key.identity(),
            pcrs,
        }),
        ciphertext,
    };
    Ok((keeper, made))
}

/// Has the member give the key back.
pub(super) fn unwrap(means: &Means, store_id: &str, keeper: &PeerKeeper) -> Result<Key> {
    let own = own_identity(means)?;
    if own != keeper.member {
        bail!(
            "the slot is for the identity {}, and ours is {own}",
            keeper.member
        );
    }
    let key = match &keeper.tpm {
        Some(tpm) => {
            let key = AttestationKey::open(means)?;
            if key.identity() != tpm.key {
                bail!(
                    "the slot is for the TPM {}, and this machine's is {}: make a slot on this machine",
                    tpm.key,
                    key.identity()
                );
            }
            Some((key, &tpm.pcrs[..]))
        }
        None => None,
    };
    let order = Order {
        store: store_id.to_owned(),
        task: Task::Open(keeper.ciphertext.clone()),
    };
    let quote = key.as_ref().map(|(key, pcrs)| (key, *pcrs));
    Ok(ask(means, (&keeper.address, &keeper.peer), &order, quote)?.0)
}

fn own_certificate(means: &Means) -> Result<(&Path, &Path)> {
    match (&means.peer_certificate, &means.peer_key) {
        (Some(certificate), Some(key)) => Ok((certificate, key)),
        _ => bail!("say who we are: --peer-certificate FILE and --peer-key FILE"),
    }
}

fn own_identity(means: &Means) -> Result<String> {
    let (path, _) = own_certificate(means)?;
    certificate::certificates(path)?
        .first()
        .and_then(certificate::identity)
        .with_context(|| format!("{} holds no certificate", path.display()))
}

/// Sends an order, has the TPM vouch if that is asked for, and takes the answer.
fn ask(
    means: &Means,
    (address, peer): (&str, &str),
    order: &Order,
    quote: Option<(&AttestationKey<'_>, &str)>,
) -> Result<(Key, Kept)> {
    let (certificate, key) = own_certificate(means)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let only = OneServer {
        identity: peer.to_owned(),
        provider: Arc::clone(&provider),
    };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(only))
        .with_client_auth_cert(
            certificate::certificates(certificate)?,
            certificate::private_key(key)?,
        )
        .context("the peer certificate and its key cannot be used")?;
    config.resumption = Resumption::disabled();
    let mut socket = connect(address)?;
    // The name is not looked at: the public key is.
    let mut connection = ClientConnection::new(Arc::new(config), ServerName::try_from("peer.invalid")?)?;
    while connection.is_handshaking() {
        connection
            .complete_io(&mut socket)
            .with_context(|| format!("the member at {address} is not {peer}, or speaks no TLS 1.3"))?;
    }
    let body = serde_json::to_vec(order)?;
    let bound = binding(&connection, &body)?;
    let mut stream = StreamOwned::new(connection, socket);
    send(&mut stream, &[bound.as_slice(), &body].concat())?;
    let mut answer = take(&mut stream, address)?;
    if let Some((&ASKED, nonce)) = answer.expose().split_first() {
        let nonce = nonce.try_into().context("the member's nonce is garbled")?;
        let (key, pcrs) = quote.context("the member asks for our TPM, and the slot names none")?;
        let evidence = key.quote(pcrs, &question(&stream.conn, nonce)?)?;
        send(&mut stream, &serde_json::to_vec(&evidence)?)?;
        answer = take(&mut stream, address)?;
    } else if quote.is_some() && answer.expose().first() == Some(&GRANTED) {
        bail!(
            "the member at {address} did not ask for our TPM: it is of an older release, or another slot's"
        );
    }
    match answer.expose().split_first() {
        Some((&GRANTED, rest)) => {
            let (given, sealed) = rest
                .split_first_chunk::<KEY_FILE_BYTES>()
                .context("the answer is cut off")?;
            let mut key = Secret::new([0; KEY_FILE_BYTES]);
            key.expose_mut().copy_from_slice(given);
            Ok((key, Kept::new(sealed)?))
        }
        Some((&REFUSED, why)) => bail!(
            "the member at {address} refuses: {}",
            String::from_utf8_lossy(why)
        ),
        _ => bail!("the answer of the member at {address} is garbled"),
    }
}

type Line = StreamOwned<ClientConnection, TcpStream>;

fn send(stream: &mut Line, frame: &[u8]) -> Result<()> {
    stream.write_all(&u32::try_from(frame.len())?.to_be_bytes())?;
    stream.write_all(frame)?;
    Ok(stream.flush()?)
}

fn take(stream: &mut Line, address: &str) -> Result<Secret<Vec<u8>>> {
    let taken = || format!("the member at {address} gave no answer");
    let mut head = [0; 4];
    stream.read_exact(&mut head).with_context(taken)?;
    let length = usize::try_from(u32::from_be_bytes(head))?;
    if length > FRAME_BYTES_MAX {
        bail!("the answer of the member at {address} is too long");
    }
    let mut answer = Secret::new(vec![0; length]);
    stream.read_exact(answer.expose_mut()).with_context(taken)?;
    Ok(answer)
}

fn connect(address: &str) -> Result<TcpStream> {
    let found = address
        .to_socket_addrs()
        .with_context(|| format!("{address} is no address such as 10.0.0.2:4567"))?;
    let mut last = None;
    for candidate in found {
        match TcpStream::connect_timeout(&candidate, WAIT) {
            Ok(socket) => {
                socket.set_read_timeout(Some(WAIT))?;
                socket.set_write_timeout(Some(WAIT))?;
                return Ok(socket);
            }
            Err(error) => last = Some(error),
        }
    }
    match last {
        Some(error) => Err(error).with_context(|| format!("no member answers at {address}")),
        None => bail!("{address} is nowhere"),
    }
}
