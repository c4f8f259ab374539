//! Every operation of the generated APIs, with makers of its empty types.

use shape::{Operation, OperationShape, Structure};

/// One operation as the tests need it.
pub(crate) struct Row {
    pub(crate) shape: &'static OperationShape,
    pub(crate) input: fn() -> Box<dyn Structure>,
    pub(crate) output: fn() -> Box<dyn Structure>,
}

fn row<O: Operation<Output: Default>>() -> Row {
    Row {
        shape: O::SHAPE,
        input: || Box::new(O::Input::default()),
        output: || Box::new(O::Output::default()),
    }
}

macro_rules! rows {
    ($($api:ident: $($operation:ident)*;)*) => {
        /// All rows, in no order that matters.
        pub(crate) fn rows() -> Vec<Row> {
            vec![$($(row::<$api::$operation>(),)*)*]
        }
    };
}

rows! {
    kms_api:
        CancelKeyDeletion ConnectCustomKeyStore CreateAlias CreateCustomKeyStore CreateGrant CreateKey
        Decapsulate Decrypt DeleteAlias DeleteCustomKeyStore DeleteImportedKeyMaterial
        DeriveSharedSecret DescribeCustomKeyStores DescribeKey DisableKey DisableKeyRotation
        DisconnectCustomKeyStore EnableKey EnableKeyRotation Encapsulate Encrypt GenerateDataKey
        GenerateDataKeyPair GenerateDataKeyPairWithoutPlaintext GenerateDataKeyWithoutPlaintext
        GenerateMac GenerateRandom GetKeyLastUsage GetKeyPolicy GetKeyRotationStatus
        GetParametersForImport GetPublicKey ImportKeyMaterial ListAliases ListGrants ListKeyPolicies
        ListKeyRotations ListKeys ListResourceTags ListRetirableGrants PutKeyPolicy ReEncrypt
        ReplicateKey RetireGrant RevokeGrant RotateKeyOnDemand ScheduleKeyDeletion Sign TagResource
        UntagResource UpdateAlias UpdateCustomKeyStore UpdateKeyDescription UpdatePrimaryRegion Verify
        VerifyMac;
    iam_api:
        AcceptDelegationRequest AcquireRole AddClientIDToOpenIDConnectProvider AddRoleToInstanceProfile
        AddUserToGroup AssociateDelegationRequest AttachGroupPolicy AttachRolePolicy AttachUserPolicy
        ChangePassword CreateAccessKey CreateAccountAlias CreateDelegationRequest CreateGroup
        CreateInstanceProfile CreateLoginProfile CreateOpenIDConnectProvider CreatePolicy
        CreatePolicyVersion CreateRole CreateSAMLProvider CreateServiceLinkedRole
        CreateServiceSpecificCredential CreateUser CreateVirtualMFADevice DeactivateMFADevice
        DeleteAccessKey DeleteAccountAlias DeleteAccountPasswordPolicy DeleteGroup DeleteGroupPolicy
        DeleteInstanceProfile DeleteLoginProfile DeleteOpenIDConnectProvider DeletePolicy
        DeletePolicyVersion DeleteRole DeleteRolePermissionsBoundary DeleteRolePolicy DeleteSAMLProvider
        DeleteSSHPublicKey DeleteServerCertificate DeleteServiceLinkedRole
        DeleteServiceSpecificCredential DeleteSigningCertificate DeleteUser
        DeleteUserPermissionsBoundary DeleteUserPolicy DeleteVirtualMFADevice DetachGroupPolicy
        DetachRolePolicy DetachUserPolicy DisableOrganizationsRootCredentialsManagement
        DisableOrganizationsRootSessions DisableOutboundWebIdentityFederation EnableMFADevice
        EnableOrganizationsRootCredentialsManagement EnableOrganizationsRootSessions
        EnableOutboundWebIdentityFederation GenerateCredentialReport GenerateOrganizationsAccessReport
        GenerateServiceLastAccessedDetails GetAccessKeyLastUsed GetAccountAuthorizationDetails
        GetAccountPasswordPolicy GetAccountProperties GetAccountSummary GetContextKeysForCustomPolicy
        GetContextKeysForPrincipalPolicy GetCredentialReport GetDelegationRequest GetGroup
        GetGroupPolicy GetHumanReadableSummary GetInstanceProfile GetLoginProfile GetMFADevice
        GetOpenIDConnectProvider GetOrganizationsAccessReport GetOutboundWebIdentityFederationInfo
        GetPolicy GetPolicyVersion GetRole GetRolePolicy GetRoleTemplateVersion GetSAMLProvider
        GetSSHPublicKey GetServerCertificate GetServiceLastAccessedDetails
        GetServiceLastAccessedDetailsWithEntities GetServiceLinkedRoleDeletionStatus GetUser
        GetUserPolicy ListAccessKeys ListAccountAliases ListAttachedGroupPolicies
        ListAttachedRolePolicies ListAttachedUserPolicies ListDelegationRequests ListEntitiesForPolicy
        ListGroupPolicies ListGroups ListGroupsForUser ListInstanceProfileTags ListInstanceProfiles
        ListInstanceProfilesForRole ListMFADeviceTags ListMFADevices ListOpenIDConnectProviderTags
        ListOpenIDConnectProviders ListOrganizationsFeatures ListPolicies
        ListPoliciesGrantingServiceAccess ListPolicyTags ListPolicyVersions ListRolePolicies
        ListRoleTags ListRoles ListSAMLProviderTags ListSAMLProviders ListSSHPublicKeys
        ListServerCertificateTags ListServerCertificates ListServiceSpecificCredentials
        ListSigningCertificates ListUserPolicies ListUserTags ListUsers ListVirtualMFADevices
        PutAccountProperties PutGroupPolicy PutRolePermissionsBoundary PutRolePolicy
        PutUserPermissionsBoundary PutUserPolicy RejectDelegationRequest
        RemoveClientIDFromOpenIDConnectProvider RemoveRoleFromInstanceProfile RemoveUserFromGroup
        ResetServiceSpecificCredential ResyncMFADevice SendDelegationToken SetDefaultPolicyVersion
        SetSecurityTokenServicePreferences SimulateCustomPolicy SimulatePrincipalPolicy
        TagInstanceProfile TagMFADevice TagOpenIDConnectProvider TagPolicy TagRole TagSAMLProvider
        TagServerCertificate TagUser UntagInstanceProfile UntagMFADevice UntagOpenIDConnectProvider
        UntagPolicy UntagRole UntagSAMLProvider UntagServerCertificate UntagUser UpdateAccessKey
        UpdateAccountPasswordPolicy UpdateAssumeRolePolicy UpdateDelegationRequest UpdateGroup
        UpdateLoginProfile UpdateOpenIDConnectProviderThumbprint UpdateRole UpdateRoleDescription
        UpdateSAMLProvider UpdateSSHPublicKey UpdateServerCertificate UpdateServiceSpecificCredential
        UpdateSigningCertificate UpdateUser UploadSSHPublicKey UploadServerCertificate
        UploadSigningCertificate;
    sts_api:
        AssumeRole AssumeRoleWithSAML AssumeRoleWithWebIdentity AssumeRoot DecodeAuthorizationMessage
        GetAccessKeyInfo GetCallerIdentity GetDelegatedAccessToken GetFederationToken GetSessionToken
        GetWebIdentityToken;
    s3_api:
        CreateBucket DeleteObject GetObject ListObjectsV2 PutObject PutObjectTagging;
    guardduty_api:
        CreateDetector GetDetector ListFindings UpdateDetector;
    ec2_api:
        CreateTags CreateVolume DescribeVolumes;
}

/// A new operation in an API crate must join the list above.
#[test]
fn every_operation_is_listed() {
    let rows = rows();
    for service in super::SERVICES {
        let listed = rows
            .iter()
            .filter(|row| std::ptr::eq(row.shape.service, *service))
            .count();
        assert_eq!(listed, service.operations.len(), "operations of {}", service.name);
    }
}
