"""The policies for whoever deploys grant what the template and the scripts need, and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache

import pytest
from linters import DEPLOYMENT, Json, run, translate
from policies import listed

FILES = sorted(DEPLOYMENT.glob("deployer-policy-*.json"))

# Actions that a handler calls only for a property that the template does not have.
UNUSED = {
    "AbacStatus": ("s3:PutBucketAbac",),
    "AccelerateConfiguration": ("s3:PutAccelerateConfiguration",),
    "AccessControl": ("s3:PutObjectAcl",),
    "AnalyticsConfigurations": (
        "s3:DeleteBucketAnalyticsConfiguration",
        "s3:PutAnalyticsConfiguration",
    ),
    "BearerTokenAuthenticationEnabled": ("logs:PutBearerTokenAuthentication",),
    "BillingViewArn": ("billing:GetBillingViewData",),
    "CapacityProviderConfig": (
        "lambda:PassCapacityProvider",
        "lambda:PutFunctionScalingConfig",
    ),
    "CodeSigningConfigArn": (
        "lambda:DeleteFunctionCodeSigningConfig",
        "lambda:GetCodeSigningConfig",
        "lambda:PutFunctionCodeSigningConfig",
    ),
    "ConnectionMode": (
        "cloudfront:CreateConnectionGroup",
        "cloudfront:GetConnectionGroup",
    ),
    "ContributorInsightsSpecification": ("dynamodb:UpdateContributorInsights",),
    "DataProtectionPolicy": (
        "logs:DeleteDataProtectionPolicy",
        "logs:PutDataProtectionPolicy",
        "sns:PutDataProtectionPolicy",
    ),
    "DeletionProtectionEnabled": ("logs:PutLogGroupDeletionProtection",),
    "DeliveryDestinationConfiguration": (
        "firehose:TagDeliveryStream",
        "logs:CreateLogDelivery",
    ),
    "FieldIndexPolicies": (
        "logs:DeleteIndexPolicy",
        "logs:PutIndexPolicy",
    ),
    "FileSystemConfigs": (
        "elasticfilesystem:DescribeMountTargets",
        "s3files:ListMountTargets",
    ),
    "ImportSourceSpecification": (
        "dynamodb:DescribeImport",
        "dynamodb:ImportTable",
        "logs:CreateLogStream",
        "logs:DescribeLogStreams",
        "logs:PutLogEvents",
    ),
    "IntelligentTieringConfigurations": ("s3:PutIntelligentTieringConfiguration",),
    "InventoryConfigurations": ("s3:PutInventoryConfiguration",),
    "KinesisStreamSpecification": (
        "dynamodb:DisableKinesisStreamingDestination",
        "dynamodb:EnableKinesisStreamingDestination",
        "dynamodb:UpdateKinesisStreamingDestination",
        "kinesis:DescribeStream",
        "kinesis:PutRecords",
    ),
    "Layers": ("lambda:GetLayerVersion",),
    "MetadataTableConfiguration": (
        "s3:CreateBucketMetadataTableConfiguration",
        "s3:DeleteBucketMetadataTableConfiguration",
        "s3:GetBucketMetadataTableConfiguration",
        "s3:UpdateBucketMetadataAnnotationTableConfiguration",
        "s3:UpdateBucketMetadataInventoryTableConfiguration",
        "s3:UpdateBucketMetadataJournalTableConfiguration",
        "s3tables:CreateNamespace",
        "s3tables:CreateTable",
        "s3tables:CreateTableBucket",
        "s3tables:GetTable",
        "s3tables:GetTableMetadataLocation",
        "s3tables:PutTableBucketPolicy",
        "s3tables:PutTableEncryption",
        "s3tables:PutTablePolicy",
        "s3tables:UpdateTableMetadataLocation",
    ),
    "MetricsConfigurations": (
        "s3:DeleteBucketMetricsConfiguration",
        "s3:PutMetricsConfiguration",
    ),
    "ObjectLockConfiguration": (
        "s3:PutBucketObjectLockConfiguration",
        "s3:PutObjectLockConfiguration",
    ),
    "OnPremisesInstanceTagFilters": ("codedeploy:RegisterOnPremisesInstance",),
    "ProvisionedConcurrencyConfig": ("lambda:DeleteProvisionedConcurrencyConfig",),
    "ReadCapacityAutoScalingSettings": ("iam:CreateServiceLinkedRole",),
    "RecursiveLoop": ("lambda:PutFunctionRecursionConfig",),
    "Replicas": (
        "dynamodb:AssociateTableReplica",
        "dynamodb:BatchWriteItem",
        "dynamodb:CreateTableReplica",
        "dynamodb:DeleteItem",
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "dynamodb:Query",
        "dynamodb:Scan",
        "dynamodb:UpdateItem",
    ),
    "ReplicationConfiguration": (
        "s3:PutBucketReplication",
        "s3:PutReplicationConfiguration",
    ),
    "ResourcePolicy": (
        "dynamodb:DeleteResourcePolicy",
        "dynamodb:PutResourcePolicy",
    ),
    "ResourcePolicyDocument": (
        "logs:DeleteResourcePolicy",
        "logs:PutResourcePolicy",
    ),
    "RestApiPolicy": ("apigateway:UpdateRestApiPolicy",),
    "RoleDescription": ("iam:UpdateRoleDescription",),
    "RuntimeAlias": ("lambda:AssociateRuntimeAlias",),
    "RuntimeManagementConfig": ("lambda:PutRuntimeManagementConfig",),
    "Staging": ("cloudfront:UpdateDistributionWithStagingConfig",),
    "TimeToLiveSpecification": ("dynamodb:UpdateTimeToLive",),
    "VpcOriginConfig": ("cloudfront:GetVpcOrigin",),
    "WebsiteConfiguration": (
        "s3:DeleteBucketWebsite",
        "s3:PutBucketWebsite",
    ),
}

# No actions of IAM.
UNKNOWN = {
    "cloudfront:CreateDistributionWithTags",
    "s3:DeleteBucketCors",
    "s3:DeleteBucketEncryption",
    "s3:DeleteBucketLifecycle",
    "s3:DeleteBucketReplication",
    "s3:GetObjectMetadata",
    "s3:HeadObject",
    "s3:REST.PUT.OBJECT",
}

# With KmsKeyArn the key's own policy lets the deployer use it.
BY_KEY_POLICY = {
    "kms:CreateGrant",
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "kms:ListAliases",
    "kms:RevokeGrant",
}

# CloudFront delivers access logs by an access list ("Permissions required to configure standard logging").
FOR_ACCESS_LOGS = {"s3:GetBucketAcl", "s3:PutBucketAcl"}

# Of types whose handlers are in no schema.
OTHER_TYPES = {
    "AWS::CloudFormation::CustomResource": ("lambda:InvokeFunction",),
    "AWS::Route53::RecordSetGroup": (
        "route53:ChangeResourceRecordSets",
        "route53:GetChange",
        "route53:GetHostedZone",
        "route53:ListResourceRecordSets",
    ),
}

# What the SAM CLI calls to package the template and to create a change set.
SAM = {
    "cloudformation:CreateChangeSet",
    "cloudformation:DescribeChangeSet",
    "cloudformation:DescribeStacks",
    "cloudformation:ExecuteChangeSet",
    "cloudformation:GetTemplateSummary",
    "s3:GetObject",
    "s3:GetObjectTagging",
    "s3:ListBucket",
    "s3:PutObject",
}

# Calls of the AWS CLI whose actions have other names.
ACTIONS = {
    "s3 cp": ("s3:GetObject",),
    "s3 rm": ("s3:ListBucket", "s3:DeleteObject"),
    "s3 sync": ("s3:ListBucket", "s3:PutObject", "s3:DeleteObject"),
    "s3api head-bucket": ("s3:ListBucket",),
    "s3api list-object-versions": ("s3:ListBucketVersions",),
    "s3api delete-objects": ("s3:DeleteObject", "s3:DeleteObjectVersion"),
    "s3api get-bucket-notification-configuration": ("s3:GetBucketNotification",),
    "cloudformation wait": ("cloudformation:DescribeStacks",),
}

# What parliament reports, and why that is right here.
LINT_EXCUSES = {
    (
        "INVALID_ARN",
        "Account expected to be of form like 123456789012",
    ): "the account of SAM's transform is aws",
    ("UNKNOWN_ACTION", "Unknown action s3:GetBucketAbac"): "newer than parliament's list",
    ("UNKNOWN_ACTION", "Unknown action payments:GetConnectedAccount"): "newer than parliament's list",
    ("UNKNOWN_ACTION", "Unknown action lambda:GetFunctionScalingConfig"): "newer than parliament's list",
    (
        "UNKNOWN_ACTION",
        "Unknown action cognito-idp:ListUserPoolClientSecrets",
    ): "newer than parliament's list",
}


@cache
def resources() -> list[Json]:
    """The template's resources with all options on that SAM reads."""
    (template,) = translate({"EnableCanary": "true"})
    return list(template["Resources"].values())


def statements() -> list[Json]:
    return [row for file in FILES for row in json.loads(file.read_text())["Statement"]]


@cache
def handled() -> set[str]:
    """The actions that CloudFormation may call for the resources of the template."""
    types = {row["Type"] for row in resources()}
    done = run("python", DEPLOYMENT.parent / "tests/deployment/handlers.py", *sorted(types))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {name for name, actions in found.items() if not actions} == OTHER_TYPES.keys()
    return {action for actions in (*found.values(), *OTHER_TYPES.values()) for action in actions}


def called() -> set[str]:
    """The actions that the scripts call themselves."""
    text = "".join(file.read_text() for file in DEPLOYMENT.glob("*.py"))
    pairs = re.findall(r'\baws\(\s*"([\w-]+)",\s*"([\w-]+)"', text)
    edge = (DEPLOYMENT / "edge" / "test_function.py").read_text()
    pairs += [("cloudfront", name) for name in re.findall(r'\["([a-z]+-function)"', edge)]
    assert len(pairs) > 15
    return {action for pair in pairs for action in actions_of(*pair)}


def actions_of(service: str, operation: str) -> tuple[str, ...]:
    name = "".join(word.capitalize() for word in operation.split("-"))
    prefix = "s3" if service == "s3api" else service
    return ACTIONS.get(f"{service} {operation}", (f"{prefix}:{name}",))


def properties(node: object) -> Iterator[str]:
    """The names of all properties in a part of the template."""
    if isinstance(node, dict):
        yield from node
    for item in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from properties(item)


def left_out() -> set[str]:
    return {action for actions in UNUSED.values() for action in actions} | UNKNOWN | BY_KEY_POLICY


def test_the_policies_grant_exactly_what_is_needed() -> None:
    needed = (handled() - left_out()) | called() | SAM | FOR_ACCESS_LOGS
    granted = {action for row in statements() for action in listed(row["Action"])}
    assert (sorted(needed - granted), sorted(granted - needed)) == ([], [])


def test_what_is_left_out_belongs_to_properties_that_the_template_lacks() -> None:
    assert left_out() - handled() == set()
    used = {name for row in resources() for name in properties(row.get("Properties", {}))}
    assert UNUSED.keys() & used == set()
    assert {"BucketEncryption", "ReservedConcurrentExecutions"} <= used


def test_parliament_accepts_each_action_on_each_of_its_resources() -> None:
    rows = [
        {**row, "Sid": re.sub(r"\W", "", f"{row['Sid']}{action}"), "Action": action}
        for row in statements()
        for action in listed(row["Action"])
    ]
    policy = {"Version": "2012-10-17", "Statement": rows}
    done = run("parliament", "--json", stdin=json.dumps(policy))
    found = {(row["issue"], str(row["detail"])) for row in map(json.loads, done.stdout.splitlines())}
    assert found == LINT_EXCUSES.keys()


def test_parliament_reports_an_action_on_the_wrong_resource() -> None:
    wrong = {"Effect": "Allow", "Action": "sqs:CreateQueue", "Resource": "arn:aws:s3:::image-processor-*"}
    done = run("parliament", "--json", stdin=json.dumps({"Version": "2012-10-17", "Statement": [wrong]}))
    assert [json.loads(line)["issue"] for line in done.stdout.splitlines()] == ["RESOURCE_MISMATCH"]


# "IAM and AWS STS quotas": characters of a managed policy without white space.
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_file_fits_into_a_managed_policy(file: object) -> None:
    assert len("".join(file.read_text().split())) <= 6144


def test_what_can_be_named_is_named_after_the_stack() -> None:
    wide = {
        resource
        for row in statements()
        for resource in listed(row["Resource"])
        if "image-processor" not in resource and "Condition" not in row
    }
    assert {resource.split(":")[2] for resource in wide if resource != "*"} == {
        "apigateway", "cloudformation", "cloudfront", "codedeploy", "cognito-idp", "lambda", "route53", "s3",
        "wafv2",
    }  # fmt: skip
    assert {resource for resource in wide if ":s3:" in resource} == {
        "arn:aws:s3:::aws-sam-cli-managed-default-*",
        "arn:aws:s3:::aws-sam-cli-managed-default-*/*",
    }
    assert not [row for row in statements() if any("*" in action for action in listed(row["Action"]))]


def test_roles_are_passed_to_the_services_of_the_template_only() -> None:
    trusted = {
        service
        for row in resources()
        if row["Type"] == "AWS::IAM::Role"
        for statement in row["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        for service in listed(statement["Principal"]["Service"])
    }
    (row,) = (row for row in statements() if "iam:PassRole" in listed(row["Action"]))
    # Its role is passed by whoever creates a job, not by the deployment.
    trusted.remove("batchoperations.s3.amazonaws.com")
    assert set(row["Condition"]["StringEquals"]["iam:PassedToService"]) == trusted


def test_only_the_managed_policies_of_the_template_can_be_attached() -> None:
    named = {
        arn["Fn::Sub"].replace("${AWS::Partition}", "aws")
        for row in resources()
        if row["Type"] == "AWS::IAM::Role"
        for arn in row["Properties"].get("ManagedPolicyArns", ())
    }
    (row,) = (row for row in statements() if "iam:AttachRolePolicy" in listed(row["Action"]))
    assert set(row["Condition"]["ArnEquals"]["iam:PolicyARN"]) == named
