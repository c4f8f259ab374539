# What a team keeps in Terraform of the services we claim: keys with their
# aliases and policies, and the people and roles that may use them.

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

  # No check is skipped: credentials are validated and the account is asked
  # for, as against AWS.
  endpoints {
    iam = var.endpoint
    kms = var.endpoint
    sts = var.endpoint
  }

  default_tags {
    tags = { ManagedBy = "terraform" }
  }
}

data "aws_caller_identity" "me" {}

data "aws_partition" "here" {}

# Keys.

resource "aws_kms_key" "symmetric" {
  description             = local.second ? "changed" : "first"
  deletion_window_in_days = local.second ? 8 : 7
  is_enabled              = !local.second
  tags                    = local.second ? { Team = "blue" } : { Team = "red", Old = "tag" }
}

resource "aws_kms_key" "signing" {
  customer_master_key_spec = "RSA_2048"
  key_usage                = "SIGN_VERIFY"
  deletion_window_in_days  = 7
}

resource "aws_kms_key" "curve" {
  customer_master_key_spec = "ECC_NIST_P256"
  key_usage                = "SIGN_VERIFY"
  deletion_window_in_days  = 7
}

resource "aws_kms_key" "mac" {
  customer_master_key_spec = "HMAC_256"
  key_usage                = "GENERATE_VERIFY_MAC"
  deletion_window_in_days  = 7
}

resource "aws_kms_key" "guarded" {
  description             = "its policy names a role"
  deletion_window_in_days = 7
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "Enable IAM User Permissions"
        Effect    = "Allow"
        Principal = { AWS = "arn:${data.aws_partition.here.partition}:iam::${data.aws_caller_identity.me.account_id}:root" }
        Action    = "kms:*"
        Resource  = "*"
      },
      {
        Sid       = "Use of the key"
        Effect    = "Allow"
        Principal = { AWS = [aws_iam_role.app.arn] }
        Action    = local.second ? ["kms:Encrypt", "kms:Decrypt"] : ["kms:Decrypt"]
        Resource  = "*"
        Condition = { StringEquals = { "kms:EncryptionContext:app" = "shop" } }
      },
    ]
  })
}

resource "aws_kms_key" "separately_guarded" {
  deletion_window_in_days = 7
}

resource "aws_kms_key_policy" "separate" {
  key_id = aws_kms_key.separately_guarded.id
  policy = data.aws_iam_policy_document.key.json
}

data "aws_iam_policy_document" "key" {
  statement {
    actions   = ["kms:*"]
    resources = ["*"]
    principals {
      type        = "AWS"
      identifiers = [data.aws_caller_identity.me.account_id]
    }
  }
  statement {
    actions   = ["kms:Encrypt"]
    resources = ["*"]
    principals {
      type        = "AWS"
      identifiers = [aws_iam_user.person.arn]
    }
  }
}

resource "aws_kms_key" "rotating" {
  deletion_window_in_days = 7
  enable_key_rotation     = !local.second
  rotation_period_in_days = local.second ? null : 90
}

resource "aws_kms_key" "agreement" {
  customer_master_key_spec = "ECC_NIST_P384"
  key_usage                = "KEY_AGREEMENT"
  deletion_window_in_days  = 7
}

resource "aws_kms_key" "everywhere" {
  description             = "its replica is in another region"
  multi_region            = true
  enable_key_rotation     = true
  deletion_window_in_days = 7
}

provider "aws" {
  alias  = "elsewhere"
  region = "eu-west-1"

  endpoints {
    iam = var.endpoint
    kms = var.endpoint
    sts = var.endpoint
  }
}

resource "aws_kms_replica_key" "elsewhere" {
  provider                = aws.elsewhere
  primary_key_arn         = aws_kms_key.everywhere.arn
  description             = local.second ? "changed" : "first"
  deletion_window_in_days = 7
  tags                    = { Team = local.second ? "blue" : "red" }
}

resource "aws_kms_external_key" "imported" {
  description             = local.second ? "changed" : "first"
  key_material_base64     = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
  deletion_window_in_days = 7
  enabled                 = !local.second
}

resource "aws_kms_grant" "app" {
  name               = local.second ? "app-renamed" : "app"
  key_id             = aws_kms_key.guarded.key_id
  grantee_principal  = aws_iam_role.app.arn
  retiring_principal = aws_iam_role.service.arn
  operations         = local.second ? ["Encrypt", "Decrypt"] : ["Encrypt", "Decrypt", "GenerateDataKey"]

  constraints {
    encryption_context_subset = { app = "shop" }
  }
}

resource "aws_kms_alias" "shop" {
  name          = "alias/shop"
  target_key_id = local.second ? aws_kms_key.guarded.key_id : aws_kms_key.symmetric.key_id
}

resource "aws_kms_alias" "prefixed" {
  name_prefix   = "alias/shop-"
  target_key_id = aws_kms_key.signing.arn
}

resource "aws_kms_ciphertext" "secret" {
  key_id    = aws_kms_key.guarded.key_id
  plaintext = "a secret in the state"
  context   = { app = "shop" }
}

data "aws_kms_key" "by_alias" {
  key_id = aws_kms_alias.prefixed.name
}

data "aws_kms_alias" "shop" {
  name = aws_kms_alias.shop.name
}

data "aws_kms_public_key" "signing" {
  key_id = aws_kms_key.signing.id
}

# People.

resource "aws_iam_user" "person" {
  name                 = "person"
  path                 = "/staff/"
  permissions_boundary = local.second ? aws_iam_policy.boundary.arn : null
  tags                 = { Team = local.second ? "blue" : "red" }
}

resource "aws_iam_user_policy" "inline" {
  name   = "inline"
  user   = aws_iam_user.person.name
  policy = data.aws_iam_policy_document.use.json
}

resource "aws_iam_access_key" "person" {
  user   = aws_iam_user.person.name
  status = local.second ? "Inactive" : "Active"
}

# The same key in both forms: a user may have it once.
resource "aws_iam_user_ssh_key" "person" {
  username   = aws_iam_user.person.name
  encoding   = "SSH"
  status     = local.second ? "Inactive" : "Active"
  public_key = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQDbstsBhEX/wKDCSlGIK1uxAe0vd4jsKVG+4WYEtzXhtvwJ4kPMTQ5otAPSvY7ZKJP00kIw4X7knM+VHef41Mxo4OxYYEWcRDKQR5U40H0a737QgZnQ7+NlG5toZoUZ0ewcFpCU/1d2lDKUnox35PgnUi3yOnYZdW3UraL/oJ0KtpOGfiftBxVNMS21v2cLbCYLK1ItuHPa/7emE8xLqddbEfjPmqq7mMXJc+oY9uzNDfj7c+hvwzqqQhWABzL+TZ7EFwv9fDLT34Vh2xnVBQCOhgnwuOr2VJi3dyUlpiMpgEJg1cC+VUn74B1sODlqQV2AzgvxEBIpBhLhviB0EBA3 person@example.com"
}

resource "aws_iam_signing_certificate" "person" {
  user_name        = aws_iam_user.person.name
  status           = local.second ? "Inactive" : "Active"
  certificate_body = <<-EOT
    -----BEGIN CERTIFICATE-----
    MIICtDCCAZygAwIBAgICEmcwDQYJKoZIhvcNAQELBQAwHTEbMBkGA1UEAwwSc2ln
    bmVyLmV4YW1wbGUuY29tMB4XDTI2MDEwMTAwMDAwMFoXDTM2MDEwMTAwMDAwMFow
    HTEbMBkGA1UEAwwSc2lnbmVyLmV4YW1wbGUuY29tMIIBIjANBgkqhkiG9w0BAQEF
    AAOCAQ8AMIIBCgKCAQEAvU0yp8FtnsiCRyz1g0b6SK++EbAaL1+f+D3wAKnDWCdC
    +mywTlUDYN447qnwOtftfK8ZKpMD18cQ1/4wCibSMlKvqxhg6WA92HBHFRsdc0hd
    i/4J9voNNpciyzRaO1iaFYDxV0JFMra2QeWun2U79sVB8dt90mYqht6SmeSiGe0l
    76ZublG7y8dj6M1h4lZy1ZJjjb4x/bogmyKlMPUr8zn6P+eI+2BDenM0nDvVD1QO
    u+nPqkpxRiC5WWSPFPi2f7XUW5M3umHtqiQvuf2c+jEFgm753984OwarQIXk+upS
    +H0GPVfkeE5tWztyzNAechi4XVpZTFIk99Lskx6KBwIDAQABMA0GCSqGSIb3DQEB
    CwUAA4IBAQAoHrb5RQ+LsorvEfC4SmWoPrAM9/jmpMWN5vu+tb+ZkzRXEmeDmlfd
    tNd18Sx1pn8VcwEae8IOj9lRZOVPg4RyK3f/6g9Gc6nppIgLskDSGynimlCuqewz
    BETuOxXNIiCSQWtcNnj0EcL5pbrw65r8fVUUkm9kGddSYmLacoXBUtpiJ5joH3g4
    7CX8/2a0uU85CkF7hZv5EAt05f6y2aOfAABfTESl/2Dw5FqZbtdGI1WIkfOX5Jho
    LnxvOcHKyg0juAN8QXRZhnhZvRHqZ7DB4ph8bKzsbAknTEUU1Ska+kYXBD/fEy40
    xswhDYkPKFGd3QbdKweeslZ5BiCENM+g
    -----END CERTIFICATE-----
  EOT
}

resource "aws_iam_service_specific_credential" "person" {
  user_name    = aws_iam_user.person.name
  service_name = "codecommit.amazonaws.com"
  status       = local.second ? "Inactive" : "Active"
}

# What the test lays beside this file: a key is not kept among the sources.
resource "aws_iam_server_certificate" "shop" {
  name              = "shop"
  path              = local.second ? "/cdn/" : "/web/"
  certificate_body  = file("certificate.pem")
  certificate_chain = file("chain.pem")
  private_key       = file("key.pem")
  tags              = { Team = local.second ? "blue" : "red" }
}

resource "aws_iam_user" "coder" {
  name = "coder"
}

resource "aws_iam_user_ssh_key" "coder" {
  username   = aws_iam_user.coder.name
  encoding   = "PEM"
  public_key = <<-EOT
    -----BEGIN PUBLIC KEY-----
    MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA27LbAYRF/8CgwkpRiCtb
    sQHtL3eI7ClRvuFmBLc14bb8CeJDzE0OaLQD0r2O2SiT9NJCMOF+5JzPlR3n+NTM
    aODsWGBFnEQykEeVONB9Gu9+0IGZ0O/jZRubaGaFGdHsHBaQlP9XdpQylJ6Md+T4
    J1It8jp2GXVt1K2i/6CdCraThn4n7QcVTTEttb9nC2wmCytSLbhz2v+3phPMS6nX
    WxH4z5qqu5jFyXPqGPbszQ34+3Pob8M6qkIVgAcy/k2exBcL/Xwy09+FYdsZ1QUA
    joYJ8Ljq9lSYt3clJaYjKYBCYNXAvlVJ++AdbDg5akFdgM4L8RASKQYS4b4gdBAQ
    NwIDAQAB
    -----END PUBLIC KEY-----
  EOT
}

resource "aws_iam_group" "team" {
  name = local.second ? "team-renamed" : "team"
}

resource "aws_iam_group_policy" "team" {
  name   = "inline"
  group  = aws_iam_group.team.name
  policy = data.aws_iam_policy_document.use.json
}

resource "aws_iam_group_membership" "team" {
  name  = "members"
  group = aws_iam_group.team.name
  users = local.second ? [] : [aws_iam_user.person.name]
}

resource "aws_iam_user_group_membership" "other" {
  user   = aws_iam_user.person.name
  groups = [aws_iam_group.other.name]
}

resource "aws_iam_group" "other" {
  name = "other"
}

resource "aws_iam_user_login_profile" "person" {
  user                    = aws_iam_user.person.name
  password_length         = 24
  password_reset_required = true
}

resource "aws_iam_virtual_mfa_device" "phone" {
  virtual_mfa_device_name = "phone"
  path                    = "/staff/"
  tags                    = { Team = local.second ? "blue" : "red" }
}

# Roles.

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "AWS"
      identifiers = [aws_iam_user.person.arn]
    }
    dynamic "condition" {
      for_each = local.second ? ["external"] : []
      content {
        test     = "StringEquals"
        variable = "sts:ExternalId"
        values   = [condition.value]
      }
    }
  }
}

resource "aws_iam_role" "app" {
  name                 = "app"
  assume_role_policy   = data.aws_iam_policy_document.trust.json
  max_session_duration = local.second ? 7200 : 3600
  description          = local.second ? "changed" : "first"
  tags                 = { Team = "red" }
}

resource "aws_iam_role" "service" {
  name_prefix = "service-"
  path        = "/service/"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = { Effect = "Allow", Principal = { Service = "ec2.amazonaws.com" }, Action = "sts:AssumeRole" }
  })
}

resource "aws_iam_role_policy" "inline" {
  name   = "inline"
  role   = aws_iam_role.app.id
  policy = data.aws_iam_policy_document.use.json
}

resource "aws_iam_instance_profile" "service" {
  name = "service"
  path = "/machines/"
  role = local.second ? aws_iam_role.app.name : aws_iam_role.service.name
  tags = { Team = local.second ? "blue" : "red" }
}

resource "aws_iam_service_linked_role" "scaling" {
  aws_service_name = "autoscaling.amazonaws.com"
  custom_suffix    = "shop"
  description      = local.second ? "changed" : "first"
  tags             = { Team = local.second ? "blue" : "red" }
}

resource "aws_iam_service_linked_role" "guard" {
  aws_service_name = "guardduty.amazonaws.com"
}

resource "aws_iam_role_policies_exclusive" "app" {
  role_name    = aws_iam_role.app.name
  policy_names = [aws_iam_role_policy.inline.name]
}

resource "aws_iam_role_policy_attachments_exclusive" "app" {
  role_name   = aws_iam_role.app.name
  policy_arns = [aws_iam_role_policy_attachment.use.policy_arn]
}

resource "aws_iam_user_policies_exclusive" "person" {
  user_name    = aws_iam_user.person.name
  policy_names = [aws_iam_user_policy.inline.name]
}

resource "aws_iam_user_policy_attachments_exclusive" "person" {
  user_name   = aws_iam_user.person.name
  policy_arns = [aws_iam_user_policy_attachment.use.policy_arn]
}

resource "aws_iam_group_policies_exclusive" "team" {
  group_name   = aws_iam_group.team.name
  policy_names = [aws_iam_group_policy.team.name]
}

resource "aws_iam_group_policy_attachments_exclusive" "team" {
  group_name  = aws_iam_group.team.name
  policy_arns = [aws_iam_group_policy_attachment.use.policy_arn]
}

# The issuer of other tokens: its clients, thumbprints and tags change in place.
resource "aws_iam_openid_connect_provider" "builds" {
  url             = "https://tokens.builds.example"
  client_id_list  = local.second ? ["sts.amazonaws.com", "deploy"] : ["sts.amazonaws.com"]
  thumbprint_list = [local.second ? "2222222222222222222222222222222222222222" : "1111111111111111111111111111111111111111"]
  tags            = local.second ? { Team = "blue" } : { Team = "red" }
}

# A provider that signs responses; who holds the key of this certificate is nobody.
resource "aws_iam_saml_provider" "staff" {
  name                   = "staff"
  saml_metadata_document = <<-METADATA
    <EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="https://idp.example.com/${local.second ? "later" : "first"}">
      <IDPSSODescriptor WantAuthnRequestsSigned="false" protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">
        <KeyDescriptor use="signing"><KeyInfo xmlns="http://www.w3.org/2000/09/xmldsig#"><X509Data><X509Certificate>
          MIIBczCCARmgAwIBAgIUZiFfl0fTEqlsICr6xw617BZAJEgwCgYIKoZIzj0EAwIwDjEMMAoGA1UEAwwDaWRwMCAXDTI2MTEyODE3NTY1NFoYDzIxMjYxMTA0MTc1NjU0WjAOMQwwCgYDVQQDDANpZHAwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAREjtZ/VurQusyl73Bl/eFQn7qX7lTbf07JGH4W2eqBjJs6B0AufiVWrQP+/9qA/OHJeI1VVkc7p15VBAjrgng/o1MwUTAdBgNVHQ4EFgQUwte4kK1uAjtWtR7Rg2NfjArWHrwwHwYDVR0jBBgwFoAUwte4kK1uAjtWtR7Rg2NfjArWHrwwDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiABUY0b4japy+iDQi9ML/cbxaM6AK+UsO3qdaHD9PZl+QIhANpoo4ev5gQwpo7AS+Q38LZi+5aqtzHhivgbE5h/aTLI
        </X509Certificate></X509Data></KeyInfo></KeyDescriptor>
        <SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location="https://idp.example.com/saml"/>
      </IDPSSODescriptor>
    </EntityDescriptor>
  METADATA
  tags                   = local.second ? { Team = "blue" } : { Team = "red" }
}

# The account.

resource "aws_iam_security_token_service_preferences" "preferences" {
  global_endpoint_token_version = local.second ? "v2Token" : "v1Token"
}

resource "aws_iam_account_alias" "alias" {
  account_alias = local.second ? "palisade-renamed" : "palisade"
}

resource "aws_iam_account_password_policy" "strict" {
  minimum_password_length        = local.second ? 16 : 12
  require_lowercase_characters   = true
  require_numbers                = true
  require_uppercase_characters   = true
  require_symbols                = local.second
  allow_users_to_change_password = true
  max_password_age               = 90
  password_reuse_prevention      = 5
}

# Policies.

data "aws_iam_policy_document" "use" {
  statement {
    sid       = "Use"
    actions   = local.second ? ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey*"] : ["kms:Decrypt"]
    resources = [aws_kms_key.symmetric.arn]
  }
  statement {
    sid       = "Never"
    effect    = "Deny"
    actions   = ["kms:ScheduleKeyDeletion"]
    resources = ["*"]
  }
}

resource "aws_iam_policy" "use" {
  name   = "use"
  path   = "/app/"
  policy = data.aws_iam_policy_document.use.json
  tags   = { Generation = tostring(var.generation) }
}

resource "aws_iam_policy" "boundary" {
  name   = "boundary"
  policy = jsonencode({ Version = "2012-10-17", Statement = [{ Effect = "Allow", Action = "kms:*", Resource = "*" }] })
}

resource "aws_iam_user_policy_attachment" "use" {
  user       = aws_iam_user.person.name
  policy_arn = aws_iam_policy.use.arn
}

resource "aws_iam_role_policy_attachment" "use" {
  role       = aws_iam_role.app.name
  policy_arn = aws_iam_policy.use.arn
}

resource "aws_iam_role_policy_attachment" "aws_managed" {
  role       = aws_iam_role.service.name
  policy_arn = local.second ? "arn:aws:iam::aws:policy/AdministratorAccess" : "arn:aws:iam::aws:policy/ReadOnlyAccess"
}

resource "aws_iam_group_policy_attachment" "use" {
  group      = aws_iam_group.team.name
  policy_arn = aws_iam_policy.use.arn
}

resource "aws_iam_policy" "everywhere" {
  name   = "everywhere"
  policy = jsonencode({ Version = "2012-10-17", Statement = [{ Effect = "Allow", Action = "s3:*", Resource = "*" }] })
}

resource "aws_iam_policy_attachment" "everywhere" {
  name       = "everywhere"
  policy_arn = aws_iam_policy.everywhere.arn
  roles      = [aws_iam_role.service.name]
  groups     = [aws_iam_group.other.name]
}

output "account" {
  value = data.aws_caller_identity.me.account_id
}

output "symmetric" {
  value = aws_kms_key.symmetric.key_id
}

output "alias_target" {
  value = data.aws_kms_alias.shop.target_key_id
}

output "public_key" {
  value = data.aws_kms_public_key.signing.public_key_pem
}
