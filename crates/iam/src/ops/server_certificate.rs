//! Server certificates: taken with their private keys, told without them.
//!
//! Invariants:
//! - what is kept belongs together: the private key is the certificate's, and
//!   each certificate of the chain signed the one before it;
//! - a private key is sealed at once and never told, and no record shows it.
//!
//! Absent by design: servers. No service here presents these certificates, so
//! none is ever in use when it is to be deleted.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto::server_key::PublicHalf;
use federation::certificate::Certificate;
use gate::{Cx, Permit};
use ground::{AccountId, Region, Secret, Timestamp, id};
use iam_api::{
    DeleteServerCertificateInput, GetServerCertificateInput, GetServerCertificateOutput,
    ListServerCertificateTagsInput, ListServerCertificateTagsOutput, ListServerCertificatesInput,
    ListServerCertificatesOutput, ServerCertificate as ApiCertificate, ServerCertificateMetadata,
    TagServerCertificateInput, UntagServerCertificateInput, UpdateServerCertificateInput,
    UploadServerCertificateInput, UploadServerCertificateOutput,
};
use shape::Unit;

use crate::Iam;
use crate::access::{self, Asking};
use crate::error::Error;
use crate::limits::{SERVER_CERTIFICATE_CHAIN_MAX, SERVER_CERTIFICATES_MAX};
use crate::model::{CaseOfKeys, ServerCertificate, Tags, fold};
use crate::ops::login_profile::slowly;
use crate::ops::page::Paging;
use crate::ops::{answer, tag};
use crate::store::{self, SERVER_CERTIFICATES, rows, written_at};

/// What private keys are sealed for, in the account and `us-east-1`.
pub(crate) const SEALED_FOR: &str = "iam/server-certificate-key";

fn told(account: AccountId, certificate: &ServerCertificate) -> ServerCertificateMetadata {
    ServerCertificateMetadata {
        path: certificate.path.clone(),
        server_certificate_name: certificate.name.clone(),
        server_certificate_id: certificate.id.clone(),
        arn: certificate.arn(account),
        upload_date: Some(certificate.uploaded),
        expiration: Some(certificate.expires),
    }
}

fn taken(name: &str) -> Error {
    Error::Taken(format!("The Server Certificate with name {name} already exists."))
}

/// Until when the certificate is good, if all three belong together.
fn checked(
    body: &str,
    chain: Option<&str>,
    key: &Secret<String>,
    now: Timestamp,
) -> Result<Timestamp, Error> {
    let certificate = Certificate::from_pem(body).map_err(|_| {
        Error::ServerCertificateMalformed(
            "Unable to parse certificate. Please ensure the certificate is in PEM format.",
        )
    })?;
    if !(certificate.not_before..=certificate.not_after).contains(&now) {
        return Err(Error::ServerCertificateMalformed(
            "The certificate is expired or not yet valid.",
        ));
    }
    let half = PublicHalf::of_pem(key).map_err(|_| {
        Error::ServerCertificateMalformed(
            "Unable to parse private key. Please ensure the key is in PEM format and has no passphrase.",
        )
    })?;
    if !certificate.has_key(&half) {
        return Err(Error::KeyPairMismatch);
    }
    if let Some(chain) = chain {
        let chain = Certificate::chain_from_pem(chain, SERVER_CERTIFICATE_CHAIN_MAX).map_err(|_| {
            Error::ServerCertificateMalformed(
                "Unable to parse certificate chain. Please ensure the certificates are in PEM format.",
            )
        })?;
        let mut before = &certificate;
        for next in &chain {
            if !before.is_issued_by(next) {
                return Err(Error::ServerCertificateMalformed(
                    "Unable to validate certificate chain. It must begin with the immediate signing certificate, \
                     and each certificate must be signed by the one behind it.",
                ));
            }
            before = next;
        }
    }
    Ok(certificate.not_after)
}

/// # Errors
///
/// [`Error::ServerCertificateMalformed`] for what is no certificate, chain or
/// private key, or not good now; [`Error::KeyPairMismatch`] for the private key
/// of another certificate.
pub(crate) async fn upload_server_certificate(
    iam: &Iam,
    cx: &Cx,
    input: UploadServerCertificateInput,
) -> Result<UploadServerCertificateOutput, Error> {
    let tags = Tags::of_request(answer::tags_of(input.tags), CaseOfKeys::Matters)?;
    let (path, name) = (
        input.path.unwrap_or_else(|| "/".to_owned()),
        input.server_certificate_name,
    );
    let permit = access::new(cx, (), "server-certificate", (&path, &name), tag::adding(&tags)).await?;

    if rows(cx).server_certificate(&name).await?.is_some() {
        return Err(taken(&name));
    }
    let mut summary = rows(cx).summary().await?;
    if summary.server_certificates >= SERVER_CERTIFICATES_MAX {
        return Err(Error::LimitExceeded(format!(
            "Cannot exceed quota for ServerCertificatesPerAccount: {SERVER_CERTIFICATES_MAX}"
        )));
    }
    summary.server_certificates += 1;

    let key = input.private_key.duplicate();
    let (body, chain, now) = (
        input.certificate_body.clone(),
        input.certificate_chain.clone(),
        cx.now(),
    );
    let expires = slowly(iam, move || Ok(checked(&body, chain.as_deref(), &key, now))).await??;
    let id = id::entity_id("ASCA", cx.random().bytes());
    let domain = cx.domain_key(cx.account(), &Region::us_east_1(), SEALED_FOR);
    let sealed = domain.seal(
        &[id.as_bytes()],
        input.private_key.expose().as_bytes(),
        cx.random(),
    )?;
    let certificate = permit.map(|()| ServerCertificate {
        id,
        name,
        path,
        uploaded: written_at(cx),
        expires,
        // Terraform expects them back without the white space around.
        body: input.certificate_body.trim().to_owned(),
        chain: input.certificate_chain.map(|chain| chain.trim().to_owned()),
        sealed_key: STANDARD.encode(sealed),
        tags,
    });
    store::write(cx, |tx| {
        store::put_summary(tx, &summary);
        store::put_server_certificate(tx, &certificate);
    })
    .await?;
    Ok(UploadServerCertificateOutput {
        server_certificate_metadata: Some(told(cx.account(), &certificate)),
        tags: answer::tags(&certificate.tags),
    })
}

pub(crate) async fn get_server_certificate(
    _iam: &Iam,
    cx: &Cx,
    input: GetServerCertificateInput,
) -> Result<GetServerCertificateOutput, Error> {
    let certificate = access::server_certificate(cx, &input.server_certificate_name, Asking::NOTHING).await?;
    Ok(GetServerCertificateOutput {
        server_certificate: ApiCertificate {
            server_certificate_metadata: told(cx.account(), &certificate),
            certificate_body: certificate.body.clone(),
            certificate_chain: certificate.chain.clone(),
            tags: answer::tags(&certificate.tags),
        },
    })
}

pub(crate) async fn list_server_certificates(
    _iam: &Iam,
    cx: &Cx,
    input: ListServerCertificatesInput,
) -> Result<ListServerCertificatesOutput, Error> {
    let prefix = input.path_prefix.as_deref().unwrap_or("/");
    let paging = Paging::new(
        "ListServerCertificates",
        prefix,
        input.marker.as_deref(),
        input.max_items,
    )?;
    access::list(cx, "server-certificate", prefix).await?;
    let page = paging
        .names(&rows(cx), &SERVER_CERTIFICATES, |certificate| {
            certificate.path.starts_with(prefix)
        })
        .await?;
    let certificates = page.items.iter();
    Ok(ListServerCertificatesOutput {
        server_certificate_metadata_list: certificates
            .map(|certificate| told(cx.account(), certificate))
            .collect(),
        is_truncated: page.is_truncated(),
        marker: page.marker,
    })
}

/// Gives a certificate another name or path.
pub(crate) async fn update_server_certificate(
    _iam: &Iam,
    cx: &Cx,
    input: UpdateServerCertificateInput,
) -> Result<Unit, Error> {
    let certificate = access::server_certificate(cx, &input.server_certificate_name, Asking::NOTHING).await?;
    let name = input
        .new_server_certificate_name
        .unwrap_or_else(|| certificate.name.clone());
    let path = input.new_path.unwrap_or_else(|| certificate.path.clone());
    // Permission is needed for the certificate as it is and as it will be.
    access::moved(cx, "server-certificate", &path, &name).await?;

    if fold(&name) != fold(&certificate.name) && rows(cx).server_certificate(&name).await?.is_some() {
        return Err(taken(&name));
    }
    let moved = ServerCertificate {
        name,
        path,
        ..(**certificate).clone()
    };
    store::write(cx, |tx| {
        store::move_server_certificate(tx, &certificate, &moved);
    })
    .await?;
    Ok(Unit)
}

pub(crate) async fn delete_server_certificate(
    _iam: &Iam,
    cx: &Cx,
    input: DeleteServerCertificateInput,
) -> Result<Unit, Error> {
    let certificate = access::server_certificate(cx, &input.server_certificate_name, Asking::NOTHING).await?;
    let mut summary = rows(cx).summary().await?;
    summary.server_certificates = summary.server_certificates.saturating_sub(1);
    store::write(cx, |tx| {
        store::put_summary(tx, &summary);
        store::delete_server_certificate(tx, &certificate);
    })
    .await?;
    Ok(Unit)
}

/// Keeps a certificate with other tags.
async fn retagged(cx: &Cx, certificate: Permit<Arc<ServerCertificate>>, tags: Tags) -> Result<Unit, Error> {
    let certificate = certificate.map(|certificate| ServerCertificate {
        tags,
        ..(*certificate).clone()
    });
    store::write(cx, |tx| store::put_server_certificate(tx, &certificate)).await?;
    Ok(Unit)
}

pub(crate) async fn tag_server_certificate(
    _iam: &Iam,
    cx: &Cx,
    input: TagServerCertificateInput,
) -> Result<Unit, Error> {
    let given = Tags::of_request(answer::tags_of(Some(input.tags)), CaseOfKeys::Matters)?;
    let asking = tag::adding(&given);
    let certificate = access::server_certificate(cx, &input.server_certificate_name, asking).await?;
    let mut tags = certificate.tags.clone();
    tags.add(given, CaseOfKeys::Matters)?;
    retagged(cx, certificate, tags).await
}

pub(crate) async fn untag_server_certificate(
    _iam: &Iam,
    cx: &Cx,
    input: UntagServerCertificateInput,
) -> Result<Unit, Error> {
    let asking = tag::removing(&input.tag_keys);
    let certificate = access::server_certificate(cx, &input.server_certificate_name, asking).await?;
    let mut tags = certificate.tags.clone();
    tags.remove(&input.tag_keys, CaseOfKeys::Matters);
    retagged(cx, certificate, tags).await
}

pub(crate) async fn list_server_certificate_tags(
    _iam: &Iam,
    cx: &Cx,
    input: ListServerCertificateTagsInput,
) -> Result<ListServerCertificateTagsOutput, Error> {
    let certificate = access::server_certificate(cx, &input.server_certificate_name, Asking::NOTHING).await?;
    let (marker, max_items) = (input.marker.as_deref(), input.max_items);
    let listed = tag::list(&certificate.id, &certificate.tags, marker, max_items)?;
    Ok(ListServerCertificateTagsOutput {
        is_truncated: listed.is_truncated(),
        tags: listed.items,
        marker: listed.marker,
    })
}
