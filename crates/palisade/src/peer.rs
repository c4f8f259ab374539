//! Members of a cluster that open each other's root key.
//!
//! Every member has the same root key. One that runs seals slot keys for the
//! others under a key that the root key derives, each bound to the public key of
//! the member it is for; and gives a key back to whoever shows that he holds
//! that public key. So a sealed member starts with nobody there, as long as one
//! of the others runs.
//!
//! Both sides show certificates (TLS 1.3) and know each other by their public
//! keys alone. Then each sends one frame, its length before it in four bytes:
//!
//! | who | says |
//! |---|---|
//! | the sealed member | 32 bytes that bind the order to this very connection (RFC 8446, 7.5), and an [`Order`] as JSON |
//! | the running one | `=`, the 32 bytes of the key and what it made of it, or `!` and why not |
//!
//! Invariants: a key is given only to the member it was sealed for, only while
//! the operator names that member, and only after that is recorded on disk. An
//! order that was heard elsewhere is good for nothing: neither the connection
//! can be repeated nor the order moved to another.
//!
//! Absent by design: any proof of what program asks, or on which machine.
//! Whoever has a member's private key is that member (docs/seal.md).

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use crypto::slot::{KEY_FILE_BYTES, Kept};
use crypto::{Random, RootKey};
use gate::{Door, PeerAsked, PeerSlotTold};
use ground::Secret;
use rustls::ServerConfig;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::certificate::{self, AnyCertificate};
use crate::command::serve::spawn;

/// Longest frame, in bytes.
pub(crate) const FRAME_BYTES_MAX: usize = 8 * 1024;
/// Bytes that bind an order to its connection.
pub(crate) const BINDING_BYTES: usize = 32;
pub(crate) const GRANTED: u8 = b'=';
pub(crate) const REFUSED: u8 = b'!';

/// What the binding is exported as.
const BINDING_LABEL: &[u8] = b"EXPORTER-Palisade-peer-slot";
/// Most members that one opens for.
const MEMBERS_MAX: usize = 64;
/// Connections at once. A stranger costs a handshake.
const CONNECTIONS_MAX: usize = 16;
/// Longest that one may take, from its first byte to its last.
const CONNECTION_TIME: Duration = Duration::from_secs(10);
/// How often a member may ask: enough for one that is started again and again.
const ASKED_MAX: usize = 10;
const ASKED_TIME: Duration = Duration::from_secs(60);

/// `[peers]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PeerSettings {
    /// Where other members ask. Not the port of the AWS APIs.
    listen: SocketAddr,
    /// PEM file with this member's certificate.
    certificate: PathBuf,
    /// PEM file with its private key.
    key: PathBuf,
    /// The identities of the members that may be opened, as `palisade seal identity` prints them.
    members: Vec<String>,
}

/// What a sealed member asks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Order {
    /// The id of its store.
    pub(crate) store: String,
    pub(crate) task: Task,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Task {
    /// Makes a key and seals it.
    Wrap,
    /// Gives back the key that was sealed so.
    Open(Kept),
}

/// Whether a text is the identity of a public key.
pub(crate) fn is_identity(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// What binds an order to the connection it is sent on.
///
/// # Errors
///
/// If the handshake is not done.
pub(crate) fn binding<Data>(
    connection: &rustls::ConnectionCommon<Data>,
    order: &[u8],
) -> Result<[u8; BINDING_BYTES], rustls::Error> {
    connection.export_keying_material([0; BINDING_BYTES], BINDING_LABEL, Some(order))
}

/// What opens for the other members.
pub(crate) struct Peers {
    listener: TcpListener,
    opener: Arc<Opener>,
    tls: TlsAcceptor,
}

struct Opener {
    root_key: Arc<RootKey>,
    store_id: String,
    members: Vec<Member>,
    random: Random,
}

struct Member {
    identity: String,
    /// When it asked of late.
    asked: Mutex<VecDeque<Instant>>,
}

impl Peers {
    /// Listens as the settings say.
    ///
    /// # Errors
    ///
    /// If it cannot be listened there, certificate or key cannot be used, or a
    /// member is none.
    pub(crate) async fn bind(
        settings: &PeerSettings,
        root_key: Arc<RootKey>,
        store_id: &str,
    ) -> Result<Peers> {
        if settings.members.is_empty() {
            bail!("peers.members names nobody: leave [peers] out to open for nobody");
        }
        if settings.members.len() > MEMBERS_MAX {
            bail!("peers.members names more than {MEMBERS_MAX}");
        }
        if let Some(wrong) = settings.members.iter().find(|member| !is_identity(member)) {
            bail!("peers.members: {wrong} is no identity as `palisade seal identity` prints it");
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut tls = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(Arc::new(AnyCertificate(provider)))
            .with_single_cert(
                certificate::certificates(&settings.certificate)?,
                certificate::private_key(&settings.key)?,
            )
            .context("the peer certificate and its key cannot be used")?;
        // Every connection is a handshake of its own.
        tls.send_tls13_tickets = 0;
        let members = settings
            .members
            .iter()
            .map(|identity| Member {
                identity: identity.clone(),
                asked: Mutex::default(),
            })
            .collect();
        Ok(Peers {
            listener: crate::command::serve::bind(settings.listen).await?,
            opener: Arc::new(Opener {
                root_key,
                store_id: store_id.to_owned(),
                members,
                random: Random::system(),
            }),
            tls: TlsAcceptor::from(Arc::new(tls)),
        })
    }

    pub(crate) fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Opens for members, as long as it is polled. `door` records it.
    pub(crate) async fn serve(self, door: Arc<Door>) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let (stream, address) = match self.listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a peer's connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                tracing::warn!(%address, "peer refused: {CONNECTIONS_MAX} are connected");
                continue;
            };
            let (opener, tls, door) = (Arc::clone(&self.opener), self.tls.clone(), Arc::clone(&door));
            spawn(async move {
                let talk = talk(&opener, &tls, &door, stream, address);
                match tokio::time::timeout(CONNECTION_TIME, talk).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => {
                        tracing::warn!(%address, error = format!("{error:#}"), "a peer was not answered");
                    }
                    Err(_) => tracing::warn!(%address, "a peer took too long"),
                }
                drop(place);
            });
        }
    }
}

/// One connection: one order, one answer.
async fn talk(
    opener: &Opener,
    tls: &TlsAcceptor,
    door: &Door,
    stream: TcpStream,
    address: SocketAddr,
) -> Result<()> {
    let mut stream = tls.accept(stream).await.context("the TLS handshake failed")?;
    let shown = stream.get_ref().1.peer_certificates();
    let identity = shown
        .and_then(|shown| certificate::identity(shown.first()?))
        .context("no certificate was shown")?;
    let frame = read_frame(&mut stream).await?;
    let Some(member) = opener.members.iter().find(|member| member.identity == identity) else {
        door.count_peer_slot("stranger");
        tracing::warn!(%address, identity, "refused to open for a stranger");
        let why = format!("it opens for no member of the identity {identity}");
        return answer(&mut stream, &[&[REFUSED], why.as_bytes()]).await;
    };
    let order = opener.read(&frame, &stream);
    let name = match &order {
        Ok(Order { task: Task::Wrap, .. }) => "WrapPeerSlot",
        Ok(Order {
            task: Task::Open(_), ..
        })
        | Err(_) => "OpenPeerSlot",
    };
    let asked = PeerAsked {
        member: &identity,
        address: &address.ip().to_string(),
        name,
    };
    // One who asks too often fills no disk: he is counted and logged alone.
    if !member.may_ask() {
        door.count_peer_slot("too_often");
        tracing::warn!(%address, identity, "a member asks too often");
        let why = format!("it was asked more than {ASKED_MAX} times in a minute: wait");
        return answer(&mut stream, &[&[REFUSED], why.as_bytes()]).await;
    }
    match order.and_then(|order| opener.carry_out(&identity, &order)) {
        Ok((key, sealed)) => {
            door.record_peer_slot(&asked, PeerSlotTold::Key)
                .await
                .context("it cannot be recorded, so nothing was told")?;
            tracing::info!(%address, identity, name, "opened for a member");
            answer(&mut stream, &[&[GRANTED], key.expose(), sealed.bytes()]).await
        }
        Err(why) => {
            door.record_peer_slot(&asked, PeerSlotTold::Refusal(why)).await?;
            tracing::warn!(%address, identity, why, "refused to open for a member");
            answer(&mut stream, &[&[REFUSED], why.as_bytes()]).await
        }
    }
}

impl Opener {
    /// The order in a frame that was made for this connection.
    fn read(&self, frame: &[u8], stream: &TlsStream<TcpStream>) -> Result<Order, &'static str> {
        let (bound, order) = frame
            .split_first_chunk::<BINDING_BYTES>()
            .ok_or("the order is cut off")?;
        let wanted = binding(stream.get_ref().1, order).map_err(|_| "the connection is not ready")?;
        if *bound != wanted {
            return Err("the order was made for another connection");
        }
        let order: Order = serde_json::from_slice(order).map_err(|_| "this is no order")?;
        if order.store != self.store_id {
            return Err("it serves another store");
        }
        Ok(order)
    }

    fn carry_out(
        &self,
        identity: &str,
        order: &Order,
    ) -> Result<(Secret<[u8; KEY_FILE_BYTES]>, Kept), &'static str> {
        let sealing = self.root_key.peer_slots(&self.store_id);
        let bound_to: [&[u8]; 2] = [self.store_id.as_bytes(), identity.as_bytes()];
        match &order.task {
            Task::Wrap => {
                let key: Secret<[u8; KEY_FILE_BYTES]> = Secret::new(self.random.bytes());
                let sealed = sealing
                    .seal(&bound_to, key.expose(), &self.random)
                    .ok()
                    .and_then(|sealed| Kept::new(&sealed).ok())
                    .ok_or("the key cannot be sealed")?;
                Ok((key, sealed))
            }
            Task::Open(sealed) => {
                let opened = sealing
                    .open(&bound_to, sealed.bytes())
                    .map_err(|_| "the slot was not made by this cluster for this member")?;
                let mut key = Secret::new([0; KEY_FILE_BYTES]);
                if opened.expose().len() != KEY_FILE_BYTES {
                    return Err("the slot holds no key");
                }
                key.expose_mut().copy_from_slice(opened.expose());
                Ok((key, sealed.clone()))
            }
        }
    }
}

impl Member {
    /// Whether it has not asked too often of late.
    fn may_ask(&self) -> bool {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        while asked.front().is_some_and(|then| then.elapsed() > ASKED_TIME) {
            asked.pop_front();
        }
        if asked.len() >= ASKED_MAX {
            return false;
        }
        asked.push_back(Instant::now());
        true
    }
}

async fn read_frame(stream: &mut TlsStream<TcpStream>) -> Result<Vec<u8>> {
    let length = usize::try_from(stream.read_u32().await.context("no order came")?)?;
    if length > FRAME_BYTES_MAX {
        bail!("the order is longer than {FRAME_BYTES_MAX} bytes");
    }
    let mut frame = vec![0; length];
    stream
        .read_exact(&mut frame)
        .await
        .context("the order is cut off")?;
    Ok(frame)
}

async fn answer(stream: &mut TlsStream<TcpStream>, parts: &[&[u8]]) -> Result<()> {
    let length = parts.iter().map(|part| part.len()).sum::<usize>();
    // Its room is there from the start: a vector that grows leaves copies behind.
    let mut frame = Secret::new(Vec::with_capacity(4 + length));
    frame
        .expose_mut()
        .extend_from_slice(&u32::try_from(length)?.to_be_bytes());
    for part in parts {
        frame.expose_mut().extend_from_slice(part);
    }
    stream.write_all(frame.expose()).await?;
    stream.shutdown().await.context("the answer was not taken")
}
