# An organisation as a team keeps it in Terraform: units, accounts, and the
# policies over them.

terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

variable "endpoint" {
  type = string
}

# Changed by the second apply, so that every kind of update is tried.
variable "generation" {
  type    = number
  default = 1
}

locals {
  second = var.generation > 1
}

provider "aws" {
  region = "us-east-1"

  endpoints {
    iam           = var.endpoint
    organizations = var.endpoint
    sts           = var.endpoint
  }
}

resource "aws_organizations_organization" "this" {
  feature_set                   = "ALL"
  enabled_policy_types          = ["SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY", "TAG_POLICY"]
  aws_service_access_principals = ["guardduty.amazonaws.com", "iam.amazonaws.com"]
}

resource "aws_organizations_organizational_unit" "prod" {
  name      = local.second ? "production" : "prod"
  parent_id = aws_organizations_organization.this.roots[0].id
  tags      = local.second ? { Stage = "prod" } : { Stage = "test" }
}

resource "aws_organizations_organizational_unit" "inner" {
  name      = "inner"
  parent_id = aws_organizations_organizational_unit.prod.id
}

resource "aws_organizations_account" "app" {
  name      = "app"
  email     = "app@example.com"
  parent_id = local.second ? aws_organizations_organizational_unit.inner.id : aws_organizations_organizational_unit.prod.id
  tags      = { Team = "red" }
}

resource "aws_organizations_policy" "scp" {
  name       = "no-keys"
  depends_on = [aws_organizations_organization.this]
  content = jsonencode({
    Version   = "2012-10-17"
    Statement = { Effect = "Deny", Action = local.second ? "kms:Create*" : "kms:*", Resource = "*" }
  })
}

resource "aws_organizations_policy" "rcp" {
  name = "perimeter"
  type = "RESOURCE_CONTROL_POLICY"
  content = jsonencode({
    Version = "2012-10-17"
    Statement = {
      Effect    = "Deny"
      Principal = "*"
      Action    = "kms:*"
      Resource  = "*"
      Condition = { StringNotEqualsIfExists = { "aws:PrincipalOrgID" = aws_organizations_organization.this.id } }
    }
  })
}

resource "aws_organizations_policy" "tags" {
  name       = "tags"
  type       = "TAG_POLICY"
  content    = jsonencode({ tags = { team = { tag_key = { "@@assign" = "Team" } } } })
  depends_on = [aws_organizations_organization.this]
}

resource "aws_organizations_policy_attachment" "scp" {
  policy_id = aws_organizations_policy.scp.id
  target_id = aws_organizations_organizational_unit.prod.id
}

resource "aws_organizations_policy_attachment" "rcp" {
  policy_id = aws_organizations_policy.rcp.id
  target_id = aws_organizations_organization.this.roots[0].id
}

resource "aws_organizations_policy_attachment" "tags" {
  policy_id = aws_organizations_policy.tags.id
  target_id = aws_organizations_account.app.id
}

resource "aws_organizations_delegated_administrator" "app" {
  account_id        = aws_organizations_account.app.id
  service_principal = "guardduty.amazonaws.com"
  depends_on        = [aws_organizations_organization.this]
}

resource "aws_iam_organizations_features" "this" {
  enabled_features = local.second ? ["RootCredentialsManagement", "RootSessions"] : ["RootSessions"]
  depends_on       = [aws_organizations_organization.this]
}

resource "aws_organizations_resource_policy" "this" {
  content = jsonencode({
    Version = "2012-10-17"
    Statement = {
      Effect    = "Allow"
      Principal = { AWS = "arn:aws:iam::${aws_organizations_account.app.id}:root" }
      Action    = local.second ? ["organizations:ListAccounts", "organizations:ListRoots"] : ["organizations:ListAccounts"]
      Resource  = "*"
    }
  })
}

output "account" {
  value = aws_organizations_account.app.id
}
