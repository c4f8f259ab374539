//! A real PostgreSQL server for the length of a test program.

#![expect(
    clippy::disallowed_methods,
    reason = "the workshop starts programs and prepares their directories"
)]
#![expect(
    clippy::panic,
    reason = "a test that cannot have its server fails here, with the reason"
)]

use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio_postgres::NoTls;

/// How long the server may take to answer after it was started.
const START_MAX: Duration = Duration::from_secs(60);

/// Waits for a line or the end of its standard input, then ends the server.
/// The input ends when the test program does, however it ends; then nobody
/// else is left to remove the directory.
const KEEPER: &str = r#"
trap '' INT TERM
"$1"/postgres -D "$2"/data >"$2"/log 2>&1 &
server=$!
read -r order
kill -INT $server 2>/dev/null
wait $server
[ "$order" = keep ] || rm -rf "$2"
"#;

/// A server of its own: new data directory, free port, flushes on.
pub struct Server {
    directory: tempfile::TempDir,
    keeper: Mutex<Option<Child>>,
    next_database: AtomicU32,
    port: u16,
    programs: PathBuf,
    user: Option<(u32, u32)>,
}

impl Server {
    /// Creates and starts a server.
    ///
    /// As root it runs as the user `postgres`, because PostgreSQL refuses root.
    ///
    /// # Panics
    ///
    /// If PostgreSQL is not installed or does not start, with what to do.
    pub fn start() -> Server {
        Server::prepare(false)
    }

    /// As [`Server::start`], with a certificate for `127.0.0.1` and clients
    /// that do not use TLS refused.
    ///
    /// # Panics
    ///
    /// As [`Server::start`].
    pub fn start_tls() -> Server {
        Server::prepare(true)
    }

    fn prepare(tls: bool) -> Server {
        let programs = programs();
        let user = other_user();
        let directory = tempfile::Builder::new()
            .prefix("palisade-postgres-")
            .tempdir()
            .unwrap_or_else(|error| panic!("no temporary directory: {error}"));
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755))
            .unwrap_or_else(|error| panic!("cannot open the temporary directory: {error}"));
        if let Some((uid, gid)) = user {
            chown(directory.path(), Some(uid), Some(gid))
                .unwrap_or_else(|error| panic!("cannot give the directory to postgres: {error}"));
        }
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| listener.local_addr())
            .unwrap_or_else(|error| panic!("no free port: {error}"))
            .port();
        let server = Server {
            keeper: Mutex::new(None),
            next_database: AtomicU32::new(0),
            port,
            programs,
            user,
            directory,
        };
        server.create();
        if tls {
            server.certify();
        }
        server.run();
        server
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// A command as the server's user.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.directory.path()).env_remove("PGDATA");
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command
    }

    fn create(&self) {
        let output = self
            .command(&self.programs.join("initdb"))
            .args([
                "--username=palisade",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
                "-D",
            ])
            .arg(self.data())
            .output()
            .unwrap_or_else(|error| panic!("initdb does not run: {error}"));
        assert!(
            output.status.success(),
            "initdb failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let settings = format!(
            "listen_addresses = '127.0.0.1'\nport = {}\nunix_socket_directories = '{}'\nfsync = on\n\
             synchronous_commit = on\nmax_connections = 200\nshared_buffers = 32MB\n",
            self.port,
            self.directory.path().display(),
        );
        self.write(&self.data().join("postgresql.auto.conf"), &settings, 0o600);
    }

    /// The file of the authority that signed the certificate of a server
    /// started with [`Server::start_tls`].
    pub fn ca_file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    fn certify(&self) {
        let (ca_pem, issuer) = certificate_authority();
        let key = rcgen::KeyPair::generate().unwrap_or_else(|error| panic!("cannot make a key: {error}"));
        let certificate = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()])
            .and_then(|params| params.signed_by(&key, &issuer))
            .unwrap_or_else(|error| panic!("cannot make a certificate: {error}"));
        self.write(&self.ca_file(), &ca_pem, 0o644);
        self.write(&self.data().join("server.crt"), &certificate.pem(), 0o600);
        self.write(&self.data().join("server.key"), &key.serialize_pem(), 0o600);
        let hba = "local all all trust\nhostssl all all 127.0.0.1/32 trust\n";
        self.write(&self.data().join("pg_hba.conf"), hba, 0o600);
        let settings = self.data().join("postgresql.auto.conf");
        let before = std::fs::read_to_string(&settings).unwrap_or_default();
        self.write(&settings, &format!("{before}ssl = on\n"), 0o600);
    }

    /// Writes a file of the server's user.
    fn write(&self, path: &Path, content: &str, mode: u32) {
        let written = std::fs::write(path, content)
            .and_then(|()| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)))
            .and_then(|()| match self.user {
                Some((uid, gid)) => chown(path, Some(uid), Some(gid)),
                None => Ok(()),
            });
        written.unwrap_or_else(|error| panic!("cannot configure the server: {error}"));
    }

    fn run(&self) {
        let keeper = self
            .command(Path::new("/bin/sh"))
            .args(["-c", KEEPER, "keeper"])
            .arg(&self.programs)
            .arg(self.directory.path())
            .stdin(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("the server does not run: {error}"));
        *self.keeper.lock().unwrap_or_else(PoisonError::into_inner) = Some(keeper);
        let give_up = Instant::now() + START_MAX;
        // The server answers once its port is open and it has left recovery,
        // which its own status file says.
        while !self.is_ready() {
            assert!(
                Instant::now() < give_up,
                "PostgreSQL did not start: {}",
                std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn is_ready(&self) -> bool {
        std::fs::read_to_string(self.data().join("postmaster.pid"))
            .is_ok_and(|status| status.lines().nth(7).is_some_and(|line| line.trim() == "ready"))
    }

    /// Stops the server as a crash would: at once, nothing finished.
    ///
    /// # Panics
    ///
    /// If the server is not running.
    pub fn crash(&self) {
        let status = std::fs::read_to_string(self.data().join("postmaster.pid"))
            .unwrap_or_else(|error| panic!("the server is not running: {error}"));
        let pid = status.lines().next().unwrap_or_default().to_owned();
        // SIGQUIT: immediate shutdown, recovery at the next start.
        let ended = Command::new("kill").args(["-QUIT", &pid]).status();
        assert!(
            ended.is_ok_and(|status| status.success()),
            "cannot end the server"
        );
        self.stop();
    }

    /// Starts a server that was stopped, on the same port and data.
    pub fn restart(&self) {
        self.run();
    }

    fn stop(&self) {
        if let Some(mut keeper) = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take() {
            if let Some(mut orders) = keeper.stdin.take() {
                let _ = orders.write_all(b"keep\n");
            }
            let _ = keeper.wait();
        }
    }

    /// The connection string of the database called `name`.
    pub fn url(&self, name: &str) -> String {
        format!("postgres://palisade@127.0.0.1:{}/{name}", self.port)
    }

    /// Creates a new database and tells its connection string.
    ///
    /// # Panics
    ///
    /// If the server refuses.
    pub async fn database(&self) -> String {
        let name = format!("test_{}", self.next_database.fetch_add(1, Ordering::SeqCst));
        self.execute("postgres", &format!("CREATE DATABASE {name}")).await;
        self.url(&name)
    }

    /// Runs statements in the database called `name`, as the operator would.
    ///
    /// # Panics
    ///
    /// If the server refuses.
    pub async fn execute(&self, name: &str, statements: &str) {
        let (client, connection) = tokio_postgres::connect(&self.url(name), NoTls)
            .await
            .unwrap_or_else(|error| panic!("cannot connect to the test server: {error}"));
        let (done, _) = tokio::join!(
            async {
                let done = client.batch_execute(statements).await;
                drop(client);
                done
            },
            connection
        );
        done.unwrap_or_else(|error| panic!("the test server refused: {error}"));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A new certificate authority: its certificate as PEM, and what signs with it.
///
/// # Panics
///
/// If there is no randomness to be had.
pub fn certificate_authority() -> (String, rcgen::Issuer<'static, rcgen::KeyPair>) {
    let key = rcgen::KeyPair::generate().unwrap_or_else(|error| panic!("cannot make a key: {error}"));
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let certificate = params
        .self_signed(&key)
        .unwrap_or_else(|error| panic!("cannot make a certificate: {error}"));
    (certificate.pem(), rcgen::Issuer::new(params, key))
}

/// The directory of PostgreSQL's programs.
fn programs() -> PathBuf {
    let mut places: Vec<PathBuf> = std::env::var_os("PATH")
        .map(|path| std::env::split_paths(&path).collect())
        .unwrap_or_default();
    places.push("/usr/local/bin".into());
    places.push("/usr/local/pgsql/bin".into());
    if let Ok(versions) = std::fs::read_dir("/usr/lib/postgresql") {
        let mut found: Vec<PathBuf> = versions.flatten().map(|entry| entry.path().join("bin")).collect();
        found.sort();
        places.extend(found.into_iter().rev());
    }
    places
        .into_iter()
        .find(|place| place.join("initdb").exists() && place.join("postgres").exists())
        .unwrap_or_else(|| {
            panic!(
                "PostgreSQL's initdb and postgres were not found in PATH, /usr/local/bin or \
                 /usr/lib/postgresql/*/bin; install the PostgreSQL server (Debian: apt-get install postgresql)"
            )
        })
}

/// The user to run the server as, if this process is root.
fn other_user() -> Option<(u32, u32)> {
    let own = std::fs::metadata("/proc/self").map_or(0, |status| status.uid());
    if own != 0 {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    for name in ["postgres", "nobody"] {
        for line in users.lines() {
            let fields: Vec<&str> = line.split(':').collect();
            if let [found, _, uid, gid, ..] = fields[..]
                && found == name
                && let (Ok(uid), Ok(gid)) = (uid.parse(), gid.parse())
            {
                return Some((uid, gid));
            }
        }
    }
    panic!("PostgreSQL refuses to run as root and there is no user postgres or nobody to run it as")
}
