//! Rows of server certificates.

use std::sync::Arc;

use gate::Permit;
use store::{StoreError, Table, WriteTx};

use crate::model::{ServerCertificate, fold};
use crate::store::Rows;

/// By folded name: names are unique whatever their path.
pub(crate) const SERVER_CERTIFICATES: Table<String, ServerCertificate> =
    Table::new("iam/server-certificate", 1);

impl Rows<'_> {
    /// The server certificate of that name, in any case.
    pub(crate) async fn server_certificate(
        &self,
        name: &str,
    ) -> Result<Option<Arc<ServerCertificate>>, StoreError> {
        self.get(&SERVER_CERTIFICATES, &fold(name)).await
    }
}

/// Keeps a certificate, new or with other tags.
pub(crate) fn put_server_certificate(tx: &mut WriteTx, certificate: &Permit<ServerCertificate>) {
    tx.put(&SERVER_CERTIFICATES, &fold(&certificate.name), &**certificate);
}

/// Keeps a certificate under another name or path than `before`.
pub(crate) fn move_server_certificate(
    tx: &mut WriteTx,
    before: &Permit<Arc<ServerCertificate>>,
    moved: &ServerCertificate,
) {
    tx.delete(&SERVER_CERTIFICATES, &fold(&before.name));
    tx.put(&SERVER_CERTIFICATES, &fold(&moved.name), moved);
}

/// Removes a certificate and its key.
pub(crate) fn delete_server_certificate(tx: &mut WriteTx, certificate: &Permit<Arc<ServerCertificate>>) {
    tx.delete(&SERVER_CERTIFICATES, &fold(&certificate.name));
}
