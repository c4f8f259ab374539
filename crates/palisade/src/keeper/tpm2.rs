//! A TPM 2.0 that seals the key; see [`super::tpm_tools`].
//!
//! The key is the sensitive data of an object sealed under the primary key of
//! the owner hierarchy, which the TPM derives anew each time from its own seed.
//! With registers named, the object opens only while they are as they were.
//!
//! Absent by design: encryption of the wire between processor and TPM (who can
//! tap it reads the key); an authorization value, which would need a secret to
//! keep in turn.

use anyhow::{Context as _, Result};
use crypto::slot::{Kept, Tpm2Keeper};

use super::tpm_tools::{Tools, check};
use super::{Key, Means, whole};
use crate::files;

/// Has a key sealed by the TPM.
pub(super) fn wrap(means: &Means, pcrs: Option<String>, key: &Key) -> Result<Tpm2Keeper> {
    let tools = Tools::new(means)?;
    tools.primary()?;
    let mut arguments = vec![
        "-C", "primary", "-g", "sha256", "-i", "-", "-u", "public", "-r", "private",
    ];
    if let Some(pcrs) = &pcrs {
        check(pcrs)?;
        tools.run(
            "tpm2_createpolicy",
            &["--policy-pcr", "-l", pcrs, "-L", "policy"],
            &[],
        )?;
        // Without `userwithauth` the policy is the only way in.
        arguments.extend(["-L", "policy", "-a", "fixedtpm|fixedparent"]);
    }
    tools.run("tpm2_create", &arguments, key.expose())?;
    Ok(Tpm2Keeper {
        pcrs,
        public: Kept::new(&files::read_bytes(&tools.path("public"))?)?,
        private: Kept::new(&files::read_bytes(&tools.path("private"))?)?,
    })
}

/// Has the TPM open what it sealed.
pub(super) fn unwrap(means: &Means, keeper: &Tpm2Keeper) -> Result<Key> {
    let tools = Tools::new(means)?;
    files::write_private(&tools.path("public"), keeper.public.bytes())?;
    files::write_private(&tools.path("private"), keeper.private.bytes())?;
    tools.primary()?;
    tools.run(
        "tpm2_load",
        &["-C", "primary", "-u", "public", "-r", "private", "-c", "object"],
        &[],
    )?;
    let by_registers;
    let mut arguments = vec!["-c", "object"];
    if let Some(pcrs) = &keeper.pcrs {
        check(pcrs)?;
        by_registers = format!("pcr:{pcrs}");
        arguments.extend(["-p", &by_registers]);
    }
    let opened = tools.run("tpm2_unseal", &arguments, &[]);
    let opened = match &keeper.pcrs {
        // What a TPM says of registers that differ is a number, 0x99d.
        Some(pcrs) => opened.with_context(|| {
            format!(
                "the TPM opens it only while the registers {pcrs} are as they were when the slot was made"
            )
        }),
        None => opened,
    };
    whole(&opened?)
}
