//! As much of EC2 as it takes to be refused in its manner.

use ec2_api::{DescribeVolumes, DescribeVolumesInput, DescribeVolumesOutput};
use gate::{Access, AuthorizeError, Cx, Fault, Service, Table};
use ground::AccountId;
use policy::{Attached, Document, DocumentKind, Holder, ResourcePolicyKind};

use crate::world::AWAY;

#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Refused(#[from] AuthorizeError);

impl From<&Refused> for Fault {
    fn from(refused: &Refused) -> Fault {
        refused.0.fault("InternalError")
    }
}

/// Says how many volumes there are: none. A volume that is named is AWAY's, and
/// its policy denies.
async fn describe_volumes(
    _ec2: &(),
    cx: &Cx,
    input: DescribeVolumesInput,
) -> Result<DescribeVolumesOutput, Refused> {
    let access = match input.volume_ids.unwrap_or_default().first() {
        None => Access::to((), "*"),
        Some(id) => {
            let text = r#"{"Version":"2012-10-17","Statement":{"Sid":"Theirs","Effect":"Deny","Principal":"*",
                "Action":"*","Resource":"*"}}"#;
            let document = Document::parse(text, DocumentKind::Resource).unwrap().into();
            let policy = Attached::inline("volume", Holder::Resource, document);
            Access::to((), format!("arn:aws:ec2:us-east-1:{AWAY}:volume/{id}"))
                .owned_by(AccountId::parse(AWAY).unwrap())
                .with_policy(policy.into(), ResourcePolicyKind::Ordinary)
        }
    };
    let access = access.key("ec2:Encrypted", Some(true));
    cx.authorize(access).await?;
    Ok(DescribeVolumesOutput::default())
}

pub(crate) fn service() -> Service {
    Table::new(&ec2_api::SERVICE, ())
        .on::<DescribeVolumes>(describe_volumes)
        .encodes_refusals()
        .done()
}
