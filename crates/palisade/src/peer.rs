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
//! If the slot is for one machine, the running one first sends `?` and a nonce,
//! and the other the [`Evidence`] of its TPM as JSON ([`proof`]).
//!
//! Invariants: a key is given only to the member it was sealed for, only on the
//! machine it was sealed for if that was named, only while the operator names
//! that member, and only after that is recorded on disk. An order that was heard
//! elsewhere is good for nothing: neither the connection can be repeated nor the
//! order moved to another.
//!
//! Absent by design: any proof of what program asks. Without a TPM in the slot,
//! whoever has a member's private key is that member (docs/seal.md).

pub(crate) mod proof;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use crypto::slot::{KEY_FILE_BYTES, Kept};
use crypto::{Random, RootKey};
use federation::quote::{Quoted, prove};
use gate::{Door, PeerAsked, PeerQuoted, PeerSlotTold};
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
use crate::peer::proof::{Evidence, Machine, NONCE_BYTES, advised, joined, parted, question};

/// Longest frame, in bytes.
pub(crate) const FRAME_BYTES_MAX: usize = 8 * 1024;
/// Bytes that bind an order to its connection.
pub(crate) const BINDING_BYTES: usize = 32;
pub(crate) const ASKED: u8 = b'?';
pub(crate) const GRANTED: u8 = b'=';
pub(crate) const REFUSED: u8 = b'!';

/// What the binding is exported as.
const BINDING_LABEL: &[u8] = b"EXPORTER-Palisade-peer-slot";
/// Most members that one opens for.
const MEMBERS_MAX: usize = 64;
/// Connections at once. A stranger costs a handshake.
const CONNECTIONS_MAX: usize = 16;
/// Longest that one may take from its first byte to the end of its order, and
/// then until the answer is taken.
const CONNECTION_TIME: Duration = Duration::from_secs(10);
/// Longest that a member's TPM may take for a quote. Some are slow.
const QUOTE_TIME: Duration = Duration::from_secs(30);
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
    /// Whether to open such slots alone as need a TPM's proof of the machine.
    #[serde(default)]
    tpm_required: bool,
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
    /// The same, for the machine whose TPM has this attestation key alone (a
    /// SubjectPublicKeyInfo in DER), and what its registers hold now.
    WrapForTpm(Kept),
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
    tpm_required: bool,
    random: Random,
}

/// A slot's key, and what it is sealed as.
struct Granted {
    key: Secret<[u8; KEY_FILE_BYTES]>,
    sealed: Kept,
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
                tpm_required: settings.tpm_required,
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
                if let Err(error) = talk(&opener, &tls, &door, stream, address).await {
                    tracing::warn!(%address, error = format!("{error:#}"), "a peer was not answered");
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
    let heard = tokio::time::timeout(CONNECTION_TIME, hear(tls, stream));
    let (mut stream, identity, frame) = heard.await.context("no order came in time")??;
    let Some(member) = opener.members.iter().find(|member| member.identity == identity) else {
        door.count_peer_slot("stranger");
        tracing::warn!(%address, identity, "refused to open for a stranger");
        let why = format!("it opens for no member of the identity {identity}");
        return answer(&mut stream, &[&[REFUSED], why.as_bytes()]).await;
    };
    let order = opener.read(&frame, &stream);
    let name = match &order {
        Ok(Order {
            task: Task::Wrap | Task::WrapForTpm(_),
            ..
        }) => "WrapPeerSlot",
        Ok(Order {
            task: Task::Open(_), ..
        })
        | Err(_) => "OpenPeerSlot",
    };
    // One who asks too often fills no disk: he is counted and logged alone.
    if !member.may_ask() {
        door.count_peer_slot("too_often");
        tracing::warn!(%address, identity, "a member asks too often");
        let why = format!("it was asked more than {ASKED_MAX} times in a minute: wait");
        return answer(&mut stream, &[&[REFUSED], why.as_bytes()]).await;
    }
    let mut quoted = None;
    let told = match order {
        Ok(order) => {
            opener
                .carry_out(&identity, &order, &mut stream, &mut quoted)
                .await
        }
        Err(why) => Err(why.to_owned()),
    };
    let asked = PeerAsked {
        member: &identity,
        address: &address.ip().to_string(),
        name,
        quoted,
    };
    match told {
        Ok(Granted { key, sealed }) => {
            door.record_peer_slot(&asked, PeerSlotTold::Key)
                .await
                .context("it cannot be recorded, so nothing was told")?;
            tracing::info!(%address, identity, name, "opened for a member");
            answer(&mut stream, &[&[GRANTED], key.expose(), sealed.bytes()]).await
        }
        Err(why) => {
            door.record_peer_slot(&asked, PeerSlotTold::Refusal(&why)).await?;
            tracing::warn!(%address, identity, why, "refused to open for a member");
            answer(&mut stream, &[&[REFUSED], why.as_bytes()]).await
        }
    }
}

/// Who is there, and the frame with his order.
async fn hear(tls: &TlsAcceptor, stream: TcpStream) -> Result<(TlsStream<TcpStream>, String, Vec<u8>)> {
    let mut stream = tls.accept(stream).await.context("the TLS handshake failed")?;
    let shown = stream.get_ref().1.peer_certificates();
    let identity = shown
        .and_then(|shown| certificate::identity(shown.first()?))
        .context("no certificate was shown")?;
    let frame = read_frame(&mut stream).await?;
    Ok((stream, identity, frame))
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

    /// Does what a member asks; `seen` is what its TPM vouched for meanwhile.
    async fn carry_out(
        &self,
        identity: &str,
        order: &Order,
        stream: &mut TlsStream<TcpStream>,
        seen: &mut Option<PeerQuoted>,
    ) -> Result<Granted, String> {
        let needs_tpm = "it opens for members that prove their machine alone ([peers] tpm_required): make a slot \
                         with --tpm-pcrs";
        match &order.task {
            Task::Wrap if self.tpm_required => Err(needs_tpm.to_owned()),
            Task::Wrap => self.seal(identity, None),
            Task::WrapForTpm(key) => {
                let quoted = self.ask_tpm(key.bytes(), stream, seen).await?;
                let key = key.bytes().to_vec();
                self.seal(identity, Some(&Machine { key, quoted }))
            }
            Task::Open(sealed) => {
                let (key, machine) = self.unseal(identity, sealed)?;
                match machine {
                    None if self.tpm_required => return Err(needs_tpm.to_owned()),
                    None => {}
                    Some(machine) => machine.check(&self.ask_tpm(&machine.key, stream, seen).await?)?,
                }
                let sealed = sealed.clone();
                Ok(Granted { key, sealed })
            }
        }
    }

    /// What the TPM with this attestation key vouches for now.
    async fn ask_tpm(
        &self,
        key: &[u8],
        stream: &mut TlsStream<TcpStream>,
        seen: &mut Option<PeerQuoted>,
    ) -> Result<Quoted, String> {
        let nonce: [u8; NONCE_BYTES] = self.random.bytes();
        let wanted = question(stream.get_ref().1, &nonce)
            .map_err(|_| "the connection is not ready: ask anew".to_owned())?;
        let heard = async {
            send(stream, &[&[ASKED], &nonce]).await?;
            read_frame(stream).await
        };
        let frame = match tokio::time::timeout(QUOTE_TIME, heard).await {
            Ok(Ok(frame)) => frame,
            Ok(Err(_)) => return Err("it sent no quote of its TPM: see what its helper says".to_owned()),
            Err(_) => return Err("no quote of its TPM came in time: ask anew".to_owned()),
        };
        let evidence: Evidence = serde_json::from_slice(&frame)
            .map_err(|_| "what it sent is no quote: ask by `palisade` itself".to_owned())?;
        let quoted =
            prove(evidence.quote.bytes(), evidence.signature.bytes(), key, &wanted).map_err(advised)?;
        *seen = Some(PeerQuoted {
            key: certificate::identity_of_key(key),
            registers: quoted.registers.named(),
            digest: quoted.digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        });
        Ok(quoted)
    }

    /// A new key, sealed for a member, and for one machine if it is named.
    fn seal(&self, identity: &str, machine: Option<&Machine>) -> Result<Granted, String> {
        let key: Secret<[u8; KEY_FILE_BYTES]> = Secret::new(self.random.bytes());
        let sealing = self.root_key.peer_slots(&self.store_id);
        joined(&key, machine)
            .and_then(|joined| {
                sealing
                    .seal(&self.bound_to(identity), joined.expose(), &self.random)
                    .ok()
            })
            .and_then(|sealed| Kept::new(&sealed).ok())
            .map(|sealed| Granted { key, sealed })
            .ok_or_else(|| "the key cannot be sealed".to_owned())
    }

    /// The key that was sealed for a member, and the machine it is for.
    fn unseal(
        &self,
        identity: &str,
        sealed: &Kept,
    ) -> Result<(Secret<[u8; KEY_FILE_BYTES]>, Option<Machine>), String> {
        let opened = self
            .root_key
            .peer_slots(&self.store_id)
            .open(&self.bound_to(identity), sealed.bytes())
            .map_err(|_| "the slot was not made by this cluster for this member".to_owned())?;
        parted(&opened).ok_or_else(|| "the slot holds no key".to_owned())
    }

    fn bound_to<'a>(&'a self, identity: &'a str) -> [&'a [u8]; 2] {
        [self.store_id.as_bytes(), identity.as_bytes()]
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

/// Sends the answer and hangs up.
async fn answer(stream: &mut TlsStream<TcpStream>, parts: &[&[u8]]) -> Result<()> {
    let sent = async {
        send(stream, parts).await?;
        stream.shutdown().await.context("the answer was not taken")
    };
    tokio::time::timeout(CONNECTION_TIME, sent)
        .await
        .context("the answer was not taken in time")?
}

async fn send(stream: &mut TlsStream<TcpStream>, parts: &[&[u8]]) -> Result<()> {
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
    Ok(stream.flush().await?)
}
