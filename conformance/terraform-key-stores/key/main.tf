# A key in an external key store that is connected.

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

variable "store" {
  type = string
}

variable "external_key" {
  type = string
}

provider "aws" {
  region = "us-east-1"

  endpoints {
    kms = var.endpoint
    sts = var.endpoint
  }
}

resource "aws_kms_key" "external" {
  description             = "generation ${var.generation}"
  custom_key_store_id     = var.store
  xks_key_id              = var.external_key
  deletion_window_in_days = 7
}

output "key" {
  value = aws_kms_key.external.key_id
}
