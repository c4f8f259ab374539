//! Signing certificates of users and of the root user: kept, told, switched off
//! and on. They sign nothing here: no service takes requests signed so.

use std::sync::Arc;

use federation::certificate::Certificate;
use gate::Cx;
use iam_api::{
    DeleteSigningCertificateInput, ListSigningCertificatesInput, ListSigningCertificatesOutput,
    SigningCertificate as ApiCertificate, StatusType, UpdateSigningCertificateInput,
    UploadSigningCertificateInput, UploadSigningCertificateOutput,
};
use shape::Unit;

use crate::Iam;
use crate::access;
use crate::error::Error;
use crate::limits::SIGNING_CERTIFICATES_PER_USER_MAX;
use crate::model::SigningCertificate;
use crate::ops::page::Paging;
use crate::store::{self, KeyHolder, rows, written_at};

/// Letters and digits of an id, which has as many as random bytes.
const ID_LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

fn new_id(random: [u8; 32]) -> String {
    let letters = random.map(|byte| char::from(ID_LETTERS[usize::from(byte % 32)]));
    letters.iter().collect()
}

fn told(holder: &KeyHolder, certificate: &SigningCertificate) -> ApiCertificate {
    ApiCertificate {
        user_name: holder.user_name().to_owned(),
        certificate_id: certificate.id.clone(),
        certificate_body: certificate.body.clone(),
        status: if certificate.active {
            StatusType::Active
        } else {
            StatusType::Inactive
        },
        upload_date: Some(certificate.uploaded),
    }
}

/// The certificate of the user with this id.
async fn found(cx: &Cx, holder: &KeyHolder, id: &str) -> Result<Arc<SigningCertificate>, Error> {
    let certificate = rows(cx).signing_certificate(&holder.owner_id(), id).await?;
    certificate.ok_or_else(|| Error::NoSuch(format!("The Certificate with id {id} cannot be found.")))
}

/// # Errors
///
/// [`Error::CertificateMalformed`] for what is no certificate,
/// [`Error::CertificateInvalid`] for one that is not good now,
/// [`Error::CertificateTaken`] for one that somebody in the account has.
pub(crate) async fn upload_signing_certificate(
    _iam: &Iam,
    cx: &Cx,
    input: UploadSigningCertificateInput,
) -> Result<UploadSigningCertificateOutput, Error> {
    let holder = access::key_holder(cx, input.user_name.as_deref()).await?;
    let read = Certificate::from_pem(&input.certificate_body).map_err(|_| Error::CertificateMalformed)?;
    if !(read.not_before..=read.not_after).contains(&cx.now()) {
        return Err(Error::CertificateInvalid);
    }
    let digest = crypto::sha256(&[&read.der]);
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let rows = rows(cx);
    if rows.has_signing_certificate(&digest).await? {
        return Err(Error::CertificateTaken);
    }
    let known = rows.signing_certificates(&holder.owner_id()).await?.len();
    if u32::try_from(known).is_ok_and(|known| known >= SIGNING_CERTIFICATES_PER_USER_MAX) {
        return Err(Error::LimitExceeded(format!(
            "Cannot exceed quota for CertificatesPerUser: {SIGNING_CERTIFICATES_PER_USER_MAX}"
        )));
    }
    let certificate = SigningCertificate {
        id: new_id(cx.random().bytes()),
        active: true,
        uploaded: written_at(cx),
        body: input.certificate_body,
        digest,
    };
    store::write(cx, |tx| {
        store::put_signing_certificate(tx, &holder, &certificate);
    })
    .await?;
    Ok(UploadSigningCertificateOutput {
        certificate: told(&holder, &certificate),
    })
}

pub(crate) async fn list_signing_certificates(
    _iam: &Iam,
    cx: &Cx,
    input: ListSigningCertificatesInput,
) -> Result<ListSigningCertificatesOutput, Error> {
    let holder = access::key_holder(cx, input.user_name.as_deref()).await?;
    let owner_id = holder.owner_id();
    let paging = Paging::new(
        "ListSigningCertificates",
        &owner_id,
        input.marker.as_deref(),
        input.max_items,
    )?;
    let certificates = rows(cx).signing_certificates(&owner_id).await?;
    let page = paging.of(certificates
        .into_iter()
        .map(|certificate| (certificate.id.clone(), told(&holder, &certificate))));
    Ok(ListSigningCertificatesOutput {
        is_truncated: page.is_truncated(),
        certificates: page.items,
        marker: page.marker,
    })
}

pub(crate) async fn update_signing_certificate(
    _iam: &Iam,
    cx: &Cx,
    input: UpdateSigningCertificateInput,
) -> Result<Unit, Error> {
    let holder = access::key_holder(cx, input.user_name.as_deref()).await?;
    let active = match input.status {
        StatusType::Active => true,
        StatusType::Inactive => false,
        StatusType::Expired => {
            return Err(Error::InvalidInput(
                "The status of a signing certificate is Active or Inactive.".to_owned(),
            ));
        }
    };
    let certificate = found(cx, &holder, &input.certificate_id).await?;
    let certificate = SigningCertificate {
        active,
        ..(*certificate).clone()
    };
    store::write(cx, |tx| {
        store::put_signing_certificate(tx, &holder, &certificate);
    })
    .await?;
    Ok(Unit)
}

pub(crate) async fn delete_signing_certificate(
    _iam: &Iam,
    cx: &Cx,
    input: DeleteSigningCertificateInput,
) -> Result<Unit, Error> {
    let holder = access::key_holder(cx, input.user_name.as_deref()).await?;
    let certificate = found(cx, &holder, &input.certificate_id).await?;
    store::write(cx, |tx| {
        store::delete_signing_certificate(tx, &holder, &certificate);
    })
    .await?;
    Ok(Unit)
}
