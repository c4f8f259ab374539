# An external key store and a key in it, as a team keeps them in Terraform.

terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

variable "endpoint" {
  type = string
}

variable "generation" {
  type    = number
  default = 1
}

variable "access_key" {
  type = string
}

variable "secret" {
  type      = string
  sensitive = true
}


provider "aws" {
  region = "us-east-1"

  endpoints {
    kms = var.endpoint
    sts = var.endpoint
  }
}

resource "aws_kms_custom_key_store" "ours" {
  custom_key_store_name  = "ours-${var.generation}"
  custom_key_store_type  = "EXTERNAL_KEY_STORE"
  xks_proxy_connectivity = "PUBLIC_ENDPOINT"
  xks_proxy_uri_endpoint = "https://xks.example"
  xks_proxy_uri_path     = "/terraform/kms/xks/v1"

  xks_proxy_authentication_credential {
    access_key_id         = var.access_key
    raw_secret_access_key = var.secret
  }
}

data "aws_kms_custom_key_store" "ours" {
  custom_key_store_id = aws_kms_custom_key_store.ours.id
}

output "store" {
  value = aws_kms_custom_key_store.ours.id
}

output "name" {
  value = data.aws_kms_custom_key_store.ours.custom_key_store_name
}
