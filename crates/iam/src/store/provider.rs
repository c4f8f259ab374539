//! Rows of foreign identity providers.

use std::sync::Arc;

use gate::Permit;
use store::{StoreError, Table, WriteTx};

use crate::model::{OidcProvider, SamlProvider, fold};
use crate::store::Rows;

/// By address without scheme.
pub(crate) const OIDC_PROVIDERS: Table<String, OidcProvider> = Table::new("iam/oidc-provider", 1);
/// By folded name.
pub(crate) const SAML_PROVIDERS: Table<String, SamlProvider> = Table::new("iam/saml-provider", 1);

impl Rows<'_> {
    /// The OpenID Connect provider at this address.
    pub(crate) async fn oidc_provider(&self, url: &str) -> Result<Option<Arc<OidcProvider>>, StoreError> {
        self.get(&OIDC_PROVIDERS, &url.to_owned()).await
    }

    /// The OpenID Connect provider of the account with this very ARN.
    pub(crate) async fn oidc_provider_of(&self, arn: &str) -> Result<Option<Arc<OidcProvider>>, StoreError> {
        match OidcProvider::url_in(self.account(), arn) {
            Some(url) => self.oidc_provider(&url).await,
            None => Ok(None),
        }
    }

    /// The SAML provider called `name`, in any case.
    pub(crate) async fn saml_provider(&self, name: &str) -> Result<Option<Arc<SamlProvider>>, StoreError> {
        self.get(&SAML_PROVIDERS, &fold(name)).await
    }

    /// The SAML provider of the account with this very ARN.
    pub(crate) async fn saml_provider_of(&self, arn: &str) -> Result<Option<Arc<SamlProvider>>, StoreError> {
        let Some(name) = SamlProvider::name_in(self.account(), arn) else {
            return Ok(None);
        };
        let found = self.saml_provider(&name).await?;
        Ok(found.filter(|provider| provider.name == name))
    }
}

/// Keeps a provider, new or changed.
pub(crate) fn put_oidc_provider(tx: &mut WriteTx, provider: &Permit<OidcProvider>) {
    tx.put(&OIDC_PROVIDERS, &provider.url, &**provider);
}

/// Removes a provider; roles that trust it trust nobody thereby.
pub(crate) fn delete_oidc_provider(tx: &mut WriteTx, provider: &Permit<Arc<OidcProvider>>) {
    tx.delete(&OIDC_PROVIDERS, &provider.url);
}

/// Keeps a provider, new or changed.
pub(crate) fn put_saml_provider(tx: &mut WriteTx, provider: &Permit<SamlProvider>) {
    tx.put(&SAML_PROVIDERS, &fold(&provider.name), &**provider);
}

/// Removes a provider; roles that trust it trust nobody thereby.
pub(crate) fn delete_saml_provider(tx: &mut WriteTx, provider: &Permit<Arc<SamlProvider>>) {
    tx.delete(&SAML_PROVIDERS, &fold(&provider.name));
}
