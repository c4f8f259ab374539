//! A TPM 2.0 in software.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A TPM in software. It is killed when dropped.
pub(crate) struct Tpm {
    process: Child,
    /// Where it is, as tpm2-tools name it.
    pub(crate) tcti: String,
}

impl Tpm {
    /// Starts one whose state is in this directory, which is made.
    pub(crate) fn start(state: &Path) -> Tpm {
        fs::create_dir(state).unwrap();
        // Between the moment that ports are found free and the one that they are taken, another
        // test may have one of them: then it ends at once, and others are tried.
        let answering = (0..10).find_map(|_| Tpm::on_free_ports(state).answering());
        answering.expect("swtpm finds ports within ten tries")
    }

    fn on_free_ports(state: &Path) -> Tpm {
        // The control channel is on the next port.
        let (port, held) = loop {
            let data = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = data.local_addr().unwrap().port();
            if let Some(Ok(control)) = port
                .checked_add(1)
                .map(|next| TcpListener::bind(("127.0.0.1", next)))
            {
                break (port, (data, control));
            }
        };
        drop(held);
        let process = Command::new("swtpm")
            .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"])
            .args(["--tpmstate", &format!("dir={}", state.display())])
            .args(["--server", &format!("type=tcp,port={port},bindaddr=127.0.0.1")])
            .args([
                "--ctrl",
                &format!("type=tcp,port={},bindaddr=127.0.0.1", port + 1),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("swtpm is not here ({error}); ./test installs it"));
        Tpm {
            process,
            tcti: format!("swtpm:host=127.0.0.1,port={port}"),
        }
    }

    /// Itself once it answers; `None` if it has ended.
    fn answering(mut self) -> Option<Tpm> {
        let ready = |tcti: &str| {
            Command::new("tpm2_pcrread")
                .args(["-T", tcti, "sha256:16"])
                .output()
                .unwrap_or_else(|error| panic!("tpm2-tools are not here ({error}); ./test installs them"))
        };
        for _ in 0..600 {
            if ready(&self.tcti).status.success() {
                return Some(self);
            }
            if self.process.try_wait().unwrap().is_some() {
                return None;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        panic!("swtpm does not answer: {:?}", ready(&self.tcti));
    }
}

impl Tpm {
    /// Runs a program of tpm2-tools on it, which must succeed, in a directory.
    pub(crate) fn run(&self, directory: &Path, program: &str, arguments: &[&str]) {
        for (program, arguments) in [(program, arguments), ("tpm2_flushcontext", &["-t"])] {
            let done = Command::new(program)
                .args(arguments)
                .env("TPM2TOOLS_TCTI", &self.tcti)
                .current_dir(directory)
                .output()
                .unwrap_or_else(|error| panic!("tpm2-tools are not here ({error}); ./test installs them"));
            assert!(done.status.success(), "{program} {arguments:?}: {done:?}");
        }
    }
}

impl Drop for Tpm {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
