//! The ways out of the program, as the configuration describes each.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use ipnet::IpNet;
use outbound::{Authorities, Outbound};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::files;

/// A way out to the public internet and to these networks inside. Servers are
/// believed by authorities that the machine trusts, and by those of a PEM file.
///
/// # Errors
///
/// If the file cannot be read, or something is not what it should be.
pub(crate) fn to(networks: &[String], own_authorities: Option<&Path>) -> Result<Outbound> {
    let networks = networks
        .iter()
        .map(|text| text.parse::<IpNet>())
        .collect::<Result<Vec<_>, _>>()
        .context("networks: a network is written 10.1.0.0/16")?;
    let own = match own_authorities {
        Some(path) => certificates(path)?,
        None => Vec::new(),
    };
    let authorities: Authorities = Box::new(move || {
        let mut all = rustls_native_certs::load_native_certs().certs;
        all.extend(own.iter().cloned());
        all
    });
    Ok(Outbound::new(networks, authorities))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let text = files::read_text(path)?;
    let all = CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<Vec<_>, _>>();
    let all = all.with_context(|| format!("{} holds a broken certificate", path.display()))?;
    if all.is_empty() {
        bail!("{} holds no certificate", path.display());
    }
    Ok(all)
}
