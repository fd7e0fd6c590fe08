# A release of the image processor as a CloudFormation stack. Terraform copies the files of the release, which
# `make release` made, to a bucket of yours, because the template is larger than CloudFormation takes inline.
terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.40"
    }
  }
}

variable "release" {
  description = "Folder of the release, such as ../../dist/image-processor-0.2.0."
  type        = string
}

variable "artifact_bucket" {
  description = "Bucket in the stack's region for the files of the release."
  type        = string
}

variable "stack" {
  description = "Name of the stack, prefix of buckets and functions."
  type        = string
  default     = "images"
}

variable "parameters" {
  description = "Parameters of the template (docs/aws.md)."
  type        = map(string)
  default     = {}
}

locals {
  prefix = "${basename(var.release)}/"
  given = merge(var.parameters, {
    ArtifactBucket = var.artifact_bucket
    ArtifactPrefix = local.prefix
  })
}

resource "aws_s3_object" "release" {
  for_each = fileset(var.release, "*")

  bucket      = var.artifact_bucket
  key         = "${local.prefix}${each.value}"
  source      = "${var.release}/${each.value}"
  source_hash = filesha256("${var.release}/${each.value}")
}

resource "aws_cloudformation_stack" "images" {
  name         = var.stack
  template_url = "https://${var.artifact_bucket}.s3.amazonaws.com/${aws_s3_object.release["template.json"].key}"
  capabilities = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]

  # Functions get a new version when Release changes: with the release, and with each parameter.
  parameters = merge(local.given, {
    Release = substr(sha256(jsonencode(local.given)), 0, 16)
  })

  depends_on = [aws_s3_object.release]
}

output "upload_bucket" {
  value = aws_cloudformation_stack.images.outputs["UploadBucketName"]
}

output "processed_bucket" {
  value = aws_cloudformation_stack.images.outputs["ProcessedBucketName"]
}

output "cdn_url" {
  value = lookup(aws_cloudformation_stack.images.outputs, "CdnUrl", null)
}
