//! A door in the test's own process, for services that are broken on purpose:
//! what a sweep cannot find there it would not find in the product.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use crypto::{Random, RootKey};
use gate::{Door, Mode, Parts, Peer};
use ground::{AccountId, Clock, Region, Secret};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use iam::{Identities, RootCredential, bootstrap_account};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The door, and its own small listener.
pub(crate) struct Broken {
    pub(crate) address: SocketAddr,
    door: Arc<Door>,
    listening: JoinHandle<()>,
}

impl Broken {
    /// Opens a door with these services, in `data` as the product would, for
    /// the root users `(account, key, secret)`.
    pub(crate) async fn open(
        data: &Path,
        roots: [(&str, &str, &str); 2],
        services: Vec<gate::Service>,
        shortcut: Option<&'static str>,
    ) -> Broken {
        let random = Random::system();
        let root_key = Arc::new(RootKey::generate(&random));
        let config = store::Config::redb_throwaway(data.join("store.redb"));
        let store = store::Store::open(config).await.unwrap();
        let now = Clock::system().now();
        for (account, key, secret) in roots {
            let credential = RootCredential {
                access_key_id: key.to_owned(),
                secret: Secret::new(secret.to_owned()),
            };
            let account = AccountId::parse(account).unwrap();
            bootstrap_account(&store, &root_key, &random, now, account, &credential)
                .await
                .unwrap();
        }
        let journal = journal::Config {
            durable: false,
            ..journal::Config::new(data.join("journal"))
        };
        let door = Door::open(Parts {
            services,
            directory: Arc::new(Identities::new(store.clone(), Arc::clone(&root_key))),
            guardrails: Arc::new(gate::NoGuardrails),
            store,
            journal: journal::Journal::open(journal).unwrap().0,
            root_key,
            clock: Clock::virtual_from(now),
            random,
            home: Region::us_east_1(),
            mode: Mode::Dev,
            strict_audit: false,
            node: "test".to_owned(),
            reset: None,
            xks: None,
        })
        .await
        .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = Arc::clone(&door);
        let listening = tokio::spawn(async move {
            while let Ok((stream, address)) = listener.accept().await {
                tokio::spawn(talk(Arc::clone(&serving), stream, address, shortcut));
            }
        });
        Broken {
            address,
            door,
            listening,
        }
    }

    pub(crate) async fn close(self) {
        self.listening.abort();
        self.door.close().await.unwrap();
        self.door.store().close().await;
    }
}

/// Answers a connection's requests; those for `shortcut` behind the door's back.
async fn talk(door: Arc<Door>, stream: TcpStream, address: SocketAddr, shortcut: Option<&'static str>) {
    let peer = Arc::new(Peer::new(address, None));
    let service = service_fn(move |request: Request<Incoming>| {
        let (door, peer) = (Arc::clone(&door), Arc::clone(&peer));
        async move {
            let target = request.headers().get("x-amz-target");
            if shortcut.is_some() && target.and_then(|target| target.to_str().ok()) == shortcut {
                return Ok::<_, Infallible>(past_the_door());
            }
            Ok(door.answer(request, &peer, Duration::from_secs(30)).await)
        }
    });
    // Clients that go away early are none of the test's business.
    let _ = Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// Success, for anyone and without a trace.
fn past_the_door() -> Response<Full<Bytes>> {
    Response::builder()
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amzn-requestid", "never-recorded")
        .body(Full::from("{}"))
        .unwrap()
}
