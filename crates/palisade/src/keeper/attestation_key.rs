//! The attestation key of this machine's TPM, which signs what its registers
//! hold.
//!
//! It is a primary key of the owner hierarchy: the TPM derives it anew each time
//! from its own seed, so nothing of it is kept, and a TPM that was cleared is
//! another one. It is restricted: it signs what the TPM made, and nothing that
//! anybody hands it.

use anyhow::Result;
use crypto::slot::Kept;

use super::Means;
use super::tpm_tools::{Tools, check};
use crate::certificate;
use crate::files;
use crate::peer::proof::{Evidence, NONCE_BYTES};

const ATTRIBUTES: &str = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|sign";

/// The key, as long as this value lives.
pub(super) struct AttestationKey<'a> {
    tools: Tools<'a>,
    public: Vec<u8>,
}

impl AttestationKey<'_> {
    /// Has the TPM derive it.
    ///
    /// # Errors
    ///
    /// If there is no TPM, or no tpm2-tools.
    pub(super) fn open(means: &Means) -> Result<AttestationKey<'_>> {
        let tools = Tools::new(means)?;
        let scheme = "ecc256:ecdsa-sha256:null";
        let make = [
            "-C", "o", "-g", "sha256", "-G", scheme, "-a", ATTRIBUTES, "-c", "key",
        ];
        tools.run("tpm2_createprimary", &make, &[])?;
        tools.run(
            "tpm2_readpublic",
            &["-c", "key", "-f", "der", "-o", "key.der"],
            &[],
        )?;
        let public = files::read_bytes(&tools.path("key.der"))?;
        Ok(AttestationKey { tools, public })
    }

    /// Its public half, a SubjectPublicKeyInfo in DER.
    pub(super) fn public(&self) -> &[u8] {
        &self.public
    }

    /// By what it is known.
    pub(super) fn identity(&self) -> String {
        certificate::identity_of_key(&self.public)
    }

    /// What these registers hold, vouched for to whoever asked so.
    ///
    /// # Errors
    ///
    /// If the registers are none, or the TPM does not vouch for them.
    pub(super) fn quote(&self, pcrs: &str, question: &[u8; NONCE_BYTES]) -> Result<Evidence> {
        check(pcrs)?;
        let question: String = question.iter().map(|byte| format!("{byte:02x}")).collect();
        let arguments = [
            "-c",
            "key",
            "-l",
            pcrs,
            "-q",
            &question,
            "-g",
            "sha256",
            "-f",
            "plain",
            "-m",
            "quote",
            "-s",
            "signature",
        ];
        self.tools.run("tpm2_quote", &arguments, &[])?;
        Ok(Evidence {
            quote: Kept::new(&files::read_bytes(&self.tools.path("quote"))?)?,
            signature: Kept::new(&files::read_bytes(&self.tools.path("signature"))?)?,
        })
    }
}
