//! The product as a user runs it: a child process.

#![expect(
    clippy::disallowed_methods,
    reason = "the workshop starts programs and prepares their directories"
)]
#![expect(
    clippy::panic,
    reason = "a test that cannot have its program fails here, with the reason"
)]

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long a program may take to say that it is ready, or to end.
const TIME_MAX: Duration = Duration::from_secs(60);

/// A program to run: its file, and the home it is given.
///
/// It sees nothing of the tester's environment but `PATH`: variables are given
/// one by one, and `HOME` is an own directory.
#[derive(Clone)]
pub struct Launch {
    program: PathBuf,
    home: PathBuf,
    variables: Vec<(String, String)>,
}

/// A program that has ended.
#[derive(Debug)]
pub struct Ended {
    /// How.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: String,
    /// What it complained.
    pub stderr: String,
}

impl Ended {
    /// The exit code; -1 if a signal ended it.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or(-1)
    }

    /// The one JSON document on standard output.
    ///
    /// # Panics
    ///
    /// If it is none, or several.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| {
            panic!(
                "not one JSON document ({error}): {:?}, {:?}",
                self.stdout, self.stderr
            )
        })
    }
}

impl Launch {
    /// Runs `program` with `home` as its home.
    pub fn new(program: impl Into<PathBuf>, home: impl Into<PathBuf>) -> Launch {
        Launch {
            program: program.into(),
            home: home.into(),
            variables: Vec::new(),
        }
    }

    /// With one more environment variable.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Launch {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &self.home)
            .current_dir(&self.home);
        for (name, value) in &self.variables {
            command.env(name, value);
        }
        command
    }

    /// Runs to the end.
    ///
    /// # Panics
    ///
    /// If it does not start, or does not end within a minute.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Ended {
        self.run_with_input(arguments, "")
    }

    /// Runs to the end with this on standard input.
    ///
    /// # Panics
    ///
    /// As [`Launch::run`].
    pub fn run_with_input<S: AsRef<OsStr>>(&self, arguments: &[S], input: &str) -> Ended {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", self.program.display()));
        if let Some(mut stdin) = child.stdin.take() {
            // A program that does not listen has closed it.
            let _ = stdin.write_all(input.as_bytes());
        }
        let stdout = gather(child.stdout.take());
        let stderr = gather(child.stderr.take());
        let status = wait(&mut child, TIME_MAX).unwrap_or_else(|| {
            let _ = child.kill();
            panic!("{} did not end", self.program.display())
        });
        let text = |gathered: std::thread::JoinHandle<Vec<u8>>| {
            String::from_utf8_lossy(&gathered.join().unwrap_or_default()).into_owned()
        };
        Ended {
            status,
            stdout: text(stdout),
            stderr: text(stderr),
        }
    }

    /// Starts a server with `--json` and waits until it says where it listens.
    /// Its log goes to the file `log`, which is added to.
    ///
    /// # Panics
    ///
    /// If it ends instead, with what it complained.
    pub fn serve<S: AsRef<OsStr>>(&self, arguments: &[S], log: &Path) -> Server {
        let file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .unwrap_or_else(|error| panic!("cannot write {}: {error}", log.display()));
        let started = Instant::now();
        let mut child = self
            .command(arguments)
            .arg("--json")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", self.program.display()));
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            // It says nothing more, so the pipe may be dropped.
            let _ = BufReader::new(stdout).read_line(&mut line);
        }
        let took = started.elapsed();
        let said: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
        let endpoint = said["endpoint"].as_str().unwrap_or_default().to_owned();
        let address = endpoint.rsplit('/').next().unwrap_or_default().parse();
        let Ok(address) = address else {
            let _ = child.kill();
            let _ = child.wait();
            let complaint = std::fs::read_to_string(log).unwrap_or_default();
            panic!("the server did not start: {line} {complaint}");
        };
        Server {
            address,
            endpoint,
            said,
            took,
            child,
        }
    }
}

/// A running server. It is killed when dropped.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// The same as a URL.
    pub endpoint: String,
    /// What it said when it was ready.
    pub said: serde_json::Value,
    /// From start to ready.
    pub took: Duration,
    child: Child,
}

impl Server {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it without warning, as `kill -9` does.
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end, without waiting.
    pub fn terminate(&self) {
        let _ = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status();
    }

    /// Asks it to end and waits.
    ///
    /// # Panics
    ///
    /// If it does not end within a minute.
    pub fn stop(mut self) -> ExitStatus {
        self.terminate();
        wait(&mut self.child, TIME_MAX).unwrap_or_else(|| panic!("the server did not end when asked to"))
    }

    /// Memory it has resident, in KiB (proc(5), `VmRSS`).
    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap_or_default();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .unwrap_or_default();
        line.split_whitespace()
            .nth(1)
            .and_then(|kib| kib.parse().ok())
            .unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn wait(child: &mut Child, time_max: Duration) -> Option<ExitStatus> {
    let give_up = Instant::now() + time_max;
    while Instant::now() < give_up {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    None
}

fn gather(pipe: Option<impl std::io::Read + Send + 'static>) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(pipe) = pipe {
            let _ = pipe.take(64 << 20).read_to_end(&mut bytes);
        }
        bytes
    })
}
