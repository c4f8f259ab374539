//! Service-linked roles: roles that a service defines and an account only has.
//!
//! Name, path, trust and permissions are the service's. Who has them cannot
//! change them, and they stand outside service and resource control policies.
//!
//! The services are those whose roles AWS documents in each service's guide
//! ("Using service-linked roles"). The roles of services that are implemented
//! here bear the managed policy that AWS attaches; the services of the others
//! are not here to use theirs, which therefore bear none.

/// The path below which these roles and no others are.
pub(crate) const PATH: &str = "/aws-service-role/";

/// What makes the role of one service.
#[derive(Debug)]
pub(crate) struct Template {
    /// The principal that the role trusts: `guardduty.amazonaws.com`.
    pub(crate) service: &'static str,
    /// The name, before any suffix.
    pub(crate) role_name: &'static str,
    /// Whether an account may have several, told apart by a suffix.
    pub(crate) takes_suffix: bool,
    /// The managed policy below `/aws-service-role/` that is attached.
    pub(crate) policy: Option<&'static str>,
}

impl Template {
    /// The role of a service, which an account has once.
    const fn new(service: &'static str, role_name: &'static str, policy: Option<&'static str>) -> Template {
        Template {
            service,
            role_name,
            takes_suffix: false,
            policy,
        }
    }

    /// The path of the service's roles.
    pub(crate) fn path(&self) -> String {
        format!("{PATH}{}/", self.service)
    }

    /// The name of the role with this suffix.
    pub(crate) fn name(&self, suffix: Option<&str>) -> String {
        match suffix {
            None => self.role_name.to_owned(),
            Some(suffix) => format!("{}_{suffix}", self.role_name),
        }
    }

    /// The ARN of the policy that is attached.
    pub(crate) fn policy_arn(&self) -> Option<String> {
        let name = self.policy?;
        Some(format!("arn:aws:iam::aws:policy{PATH}{name}"))
    }

    /// Who may assume the role: the service alone.
    pub(crate) fn trust(&self) -> String {
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"Service":"{}"}},"Action":"sts:AssumeRole"}}]}}"#,
            self.service
        )
    }
}

/// What makes the role of the service with this principal; principals are
/// case-sensitive.
pub(crate) fn template(service: &str) -> Option<&'static Template> {
    TEMPLATES.iter().find(|template| template.service == service)
}

/// The service whose members of organisations cannot be without its role.
pub(crate) const ORGANIZATIONS: &str = "organizations.amazonaws.com";

/// All of them, by service.
static TEMPLATES: [Template; 42] = [
    Template::new(
        "access-analyzer.amazonaws.com",
        "AWSServiceRoleForAccessAnalyzer",
        None,
    ),
    Template::new(
        "acm.amazonaws.com",
        "AWSServiceRoleForCertificateManager",
        Some("CertificateManagerServiceRolePolicy"),
    ),
    Template::new(
        "apidestinations.events.amazonaws.com",
        "AWSServiceRoleForAmazonEventBridgeApiDestinations",
        Some("AmazonEventBridgeApiDestinationsServiceRolePolicy"),
    ),
    Template {
        takes_suffix: true,
        ..Template::new("autoscaling.amazonaws.com", "AWSServiceRoleForAutoScaling", None)
    },
    Template::new("backup.amazonaws.com", "AWSServiceRoleForBackup", None),
    Template::new("batch.amazonaws.com", "AWSServiceRoleForBatch", None),
    Template::new(
        "cks.kms.amazonaws.com",
        "AWSServiceRoleForKeyManagementServiceCustomKeyStores",
        Some("AWSKeyManagementServiceCustomKeyStoresServiceRolePolicy"),
    ),
    Template::new(
        "cloudhsm.amazonaws.com",
        "AWSServiceRoleForCloudHSM",
        Some("CloudHSMServiceRolePolicy"),
    ),
    Template::new(
        "cloudtrail.amazonaws.com",
        "AWSServiceRoleForCloudTrail",
        Some("CloudTrailServiceRolePolicy"),
    ),
    Template::new(
        "config.amazonaws.com",
        "AWSServiceRoleForConfig",
        Some("AWSConfigServiceRolePolicy"),
    ),
    Template {
        takes_suffix: true,
        ..Template::new("connect.amazonaws.com", "AWSServiceRoleForAmazonConnect", None)
    },
    Template::new("detective.amazonaws.com", "AWSServiceRoleForDetective", None),
    Template::new("ecs.amazonaws.com", "AWSServiceRoleForECS", None),
    Template::new(
        "eks-fargate.amazonaws.com",
        "AWSServiceRoleForAmazonEKSForFargate",
        None,
    ),
    Template::new(
        "eks-nodegroup.amazonaws.com",
        "AWSServiceRoleForAmazonEKSNodegroup",
        None,
    ),
    Template::new("eks.amazonaws.com", "AWSServiceRoleForAmazonEKS", None),
    Template::new("elasticache.amazonaws.com", "AWSServiceRoleForElastiCache", None),
    Template::new(
        "elasticbeanstalk.amazonaws.com",
        "AWSServiceRoleForElasticBeanstalk",
        None,
    ),
    Template::new(
        "elasticloadbalancing.amazonaws.com",
        "AWSServiceRoleForElasticLoadBalancing",
        None,
    ),
    Template::new(
        "es.amazonaws.com",
        "AWSServiceRoleForAmazonElasticsearchService",
        None,
    ),
    Template::new(
        "fms.amazonaws.com",
        "AWSServiceRoleForFMS",
        Some("FMSServiceRolePolicy"),
    ),
    Template::new(
        "guardduty.amazonaws.com",
        "AWSServiceRoleForAmazonGuardDuty",
        Some("AmazonGuardDutyServiceRolePolicy"),
    ),
    Template::new(
        "inspector2.amazonaws.com",
        "AWSServiceRoleForAmazonInspector2",
        Some("AmazonInspector2ServiceRolePolicy"),
    ),
    Template {
        takes_suffix: true,
        ..Template::new("lexv2.amazonaws.com", "AWSServiceRoleForLexV2Bots", None)
    },
    Template::new(
        "macie.amazonaws.com",
        "AWSServiceRoleForAmazonMacie",
        Some("AmazonMacieServiceRolePolicy"),
    ),
    Template::new(
        "mrk.kms.amazonaws.com",
        "AWSServiceRoleForKeyManagementServiceMultiRegionKeys",
        Some("AWSKeyManagementServiceMultiRegionKeysServiceRolePolicy"),
    ),
    Template::new(
        "opensearchservice.amazonaws.com",
        "AWSServiceRoleForAmazonOpenSearchService",
        None,
    ),
    Template::new(
        "ops.apigateway.amazonaws.com",
        "AWSServiceRoleForAPIGateway",
        None,
    ),
    Template::new(
        ORGANIZATIONS,
        "AWSServiceRoleForOrganizations",
        Some("AWSOrganizationsServiceTrustPolicy"),
    ),
    Template::new(
        "ram.amazonaws.com",
        "AWSServiceRoleForResourceAccessManager",
        None,
    ),
    Template::new("rds.amazonaws.com", "AWSServiceRoleForRDS", None),
    Template::new(
        "replicator.lambda.amazonaws.com",
        "AWSServiceRoleForLambdaReplicator",
        None,
    ),
    Template::new("securityhub.amazonaws.com", "AWSServiceRoleForSecurityHub", None),
    Template::new(
        "shield.amazonaws.com",
        "AWSServiceRoleForAWSShield",
        Some("AWSShieldServiceRolePolicy"),
    ),
    Template::new("spot.amazonaws.com", "AWSServiceRoleForEC2Spot", None),
    Template::new("spotfleet.amazonaws.com", "AWSServiceRoleForEC2SpotFleet", None),
    Template::new(
        "ssm.amazonaws.com",
        "AWSServiceRoleForAmazonSSM",
        Some("AmazonSSMServiceRolePolicy"),
    ),
    Template::new("sso.amazonaws.com", "AWSServiceRoleForSSO", None),
    Template::new("support.amazonaws.com", "AWSServiceRoleForSupport", None),
    Template::new(
        "transitgateway.amazonaws.com",
        "AWSServiceRoleForVPCTransitGateway",
        None,
    ),
    Template::new(
        "trustedadvisor.amazonaws.com",
        "AWSServiceRoleForTrustedAdvisor",
        None,
    ),
    Template::new(
        "wafv2.amazonaws.com",
        "AWSServiceRoleForWAFV2Logging",
        Some("WAFV2LoggingServiceRolePolicy"),
    ),
];

#[cfg(test)]
mod tests {
    use policy::{Document, DocumentKind};

    use super::*;
    use crate::aws_managed;

    #[test]
    fn every_template_makes_a_role_with_a_policy_that_exists() {
        assert!(TEMPLATES.is_sorted_by_key(|template| template.service));
        for template in &TEMPLATES {
            assert!(template.role_name.starts_with("AWSServiceRoleFor"));
            assert!(template.role_name.len() <= 64);
            assert!(Document::parse(&template.trust(), DocumentKind::RoleTrust).is_ok());
            if let Some(name) = template.policy {
                assert!(aws_managed::find(PATH, name).is_some(), "{name}");
            }
        }
        assert!(template("Organizations.amazonaws.com").is_none());
    }

    #[test]
    fn every_policy_of_a_service_linked_role_has_its_role() {
        for policy in aws_managed::POLICIES.iter().filter(|policy| policy.path == PATH) {
            let bears = |template: &Template| template.policy == Some(policy.name);
            assert!(TEMPLATES.iter().any(bears), "{}", policy.name);
        }
    }
}
