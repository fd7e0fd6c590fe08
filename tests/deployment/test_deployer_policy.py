"""The policies for whoever deploys grant what the template and the scripts need, and nothing else."""

from __future__ import annotations

import json
import re
from functools import cache

import pytest
from linters import DEPLOYMENT, Json, run, translate
from policies import listed

FILES = sorted(DEPLOYMENT.glob("deployer-policy-*.json"))

# Why an action that a resource type's handlers may call is not granted.
EXCUSES = {
    "the API has no policy": ("apigateway:UpdateRestApiPolicy",),
    "no multi-tenant distribution": (
        "cloudfront:CreateConnectionGroup",
        "cloudfront:GetConnectionGroup",
    ),
    "no staging distribution": ("cloudfront:UpdateDistributionWithStagingConfig",),
    "only Lambda is deployed": ("codedeploy:RegisterOnPremisesInstance",),
    "no global table": (
        "dynamodb:AssociateTableReplica",
        "dynamodb:CreateTableReplica",
    ),
    "only of global tables; records are the functions'": (
        "dynamodb:BatchWriteItem",
        "dynamodb:DeleteItem",
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "dynamodb:UpdateItem",
    ),
    "the table has no policy": (
        "dynamodb:DeleteResourcePolicy",
        "dynamodb:PutResourcePolicy",
    ),
    "no import": (
        "dynamodb:DescribeImport",
        "dynamodb:ImportTable",
    ),
    "no stream": (
        "dynamodb:DisableKinesisStreamingDestination",
        "dynamodb:EnableKinesisStreamingDestination",
        "dynamodb:UpdateKinesisStreamingDestination",
    ),
    "only of global tables": (
        "dynamodb:Query",
        "dynamodb:Scan",
    ),
    "no contributor insights": ("dynamodb:UpdateContributorInsights",),
    "no item expires": ("dynamodb:UpdateTimeToLive",),
    "no function is in a VPC": (
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeSubnets",
        "ec2:DescribeVpcs",
    ),
    "no function mounts a file system": (
        "elasticfilesystem:DescribeMountTargets",
        "s3files:ListMountTargets",
    ),
    "no log delivery": (
        "firehose:TagDeliveryStream",
        "logs:CreateLogDelivery",
    ),
    "no automatic scaling of the table": ("iam:CreateServiceLinkedRole",),
    "roles have no descriptions": ("iam:UpdateRoleDescription",),
    "no stream of the table": (
        "kinesis:DescribeStream",
        "kinesis:PutRecords",
    ),
    "with KmsKeyArn, the key's own policy lets the deployer use it": (
        "kms:CreateGrant",
        "kms:Decrypt",
        "kms:DescribeKey",
        "kms:Encrypt",
        "kms:GenerateDataKey",
        "kms:ListAliases",
        "kms:RevokeGrant",
    ),
    "no runtime alias": ("lambda:AssociateRuntimeAlias",),
    "packages are not signed": (
        "lambda:DeleteFunctionCodeSigningConfig",
        "lambda:GetCodeSigningConfig",
        "lambda:PutFunctionCodeSigningConfig",
    ),
    "no provisioned concurrency": ("lambda:DeleteProvisionedConcurrencyConfig",),
    "no managed instances": (
        "lambda:PassCapacityProvider",
        "lambda:PutFunctionScalingConfig",
    ),
    "the default recursion setting": ("lambda:PutFunctionRecursionConfig",),
    "the default runtime updates": ("lambda:PutRuntimeManagementConfig",),
    "only of an import into the table": (
        "logs:CreateLogStream",
        "logs:DescribeLogStreams",
        "logs:PutLogEvents",
    ),
    "no data protection policy": (
        "logs:DeleteDataProtectionPolicy",
        "logs:PutDataProtectionPolicy",
        "sns:PutDataProtectionPolicy",
    ),
    "no index policy": (
        "logs:DeleteIndexPolicy",
        "logs:PutIndexPolicy",
    ),
    "no resource policy": (
        "logs:DeleteResourcePolicy",
        "logs:PutResourcePolicy",
    ),
    "no bearer tokens": ("logs:PutBearerTokenAuthentication",),
    "no deletion protection of logs": ("logs:PutLogGroupDeletionProtection",),
    "no metadata tables": (
        "s3:CreateBucketMetadataTableConfiguration",
        "s3:DeleteBucketMetadataTableConfiguration",
        "s3:GetBucketMetadataTableConfiguration",
        "s3:UpdateBucketMetadataAnnotationTableConfiguration",
        "s3:UpdateBucketMetadataInventoryTableConfiguration",
        "s3:UpdateBucketMetadataJournalTableConfiguration",
    ),
    "no analytics": (
        "s3:DeleteBucketAnalyticsConfiguration",
        "s3:PutAnalyticsConfiguration",
    ),
    "no action of IAM": (
        "cloudfront:CreateDistributionWithTags",
        "s3:DeleteBucketCors",
        "s3:DeleteBucketEncryption",
        "s3:DeleteBucketLifecycle",
        "s3:DeleteBucketReplication",
        "s3:GetObjectMetadata",
        "s3:HeadObject",
        "s3:REST.PUT.OBJECT",
    ),
    "no metrics by prefix": (
        "s3:DeleteBucketMetricsConfiguration",
        "s3:PutMetricsConfiguration",
    ),
    "no website": (
        "s3:DeleteBucketWebsite",
        "s3:PutBucketWebsite",
    ),
    "no acceleration": ("s3:PutAccelerateConfiguration",),
    "no tag-based access": ("s3:PutBucketAbac",),
    "no access lists": (
        "s3:PutBucketAcl",
        "s3:PutObjectAcl",
    ),
    "no access logs": ("s3:PutBucketLogging",),
    "no object lock": (
        "s3:PutBucketObjectLockConfiguration",
        "s3:PutObjectLockConfiguration",
    ),
    "no replication": (
        "s3:PutBucketReplication",
        "s3:PutReplicationConfiguration",
    ),
    "no intelligent tiering": ("s3:PutIntelligentTieringConfiguration",),
    "no inventory": ("s3:PutInventoryConfiguration",),
    "no table buckets": (
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
    "no origin is in a VPC": ("cloudfront:GetVpcOrigin",),
    "no function has layers": ("lambda:GetLayerVersion",),
}

# Of types whose handlers are in no schema.
OTHER_TYPES = {
    "AWS::Route53::RecordSetGroup": (
        "route53:ChangeResourceRecordSets",
        "route53:GetChange",
        "route53:GetHostedZone",
        "route53:ListResourceRecordSets",
    )
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
    ("UNKNOWN_ACTION", "Unknown action lambda:GetFunctionScalingConfig"): "newer than parliament's list",
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
    text = "".join(file.read_text() for file in [*DEPLOYMENT.glob("*.py"), DEPLOYMENT / "edge/publish.py"])
    pairs = re.findall(r'\baws\(\s*"([\w-]+)",\s*"([\w-]+)"', text)
    pairs += [("cloudfront-keyvaluestore", name) for name in re.findall(r'\bcall\("([\w-]+)"', text)]
    assert len(pairs) > 15
    return {action for pair in pairs for action in actions_of(*pair)}


def actions_of(service: str, operation: str) -> tuple[str, ...]:
    name = "".join(word.capitalize() for word in operation.split("-"))
    prefix = "s3" if service == "s3api" else service
    return ACTIONS.get(f"{service} {operation}", (f"{prefix}:{name}",))


def test_the_policies_grant_exactly_what_is_needed() -> None:
    excused = {action for actions in EXCUSES.values() for action in actions}
    needed = (handled() - excused) | called() | SAM
    granted = {action for row in statements() for action in listed(row["Action"])}
    assert (sorted(needed - granted), sorted(granted - needed)) == ([], [])


def test_no_excuse_is_idle() -> None:
    assert {action for actions in EXCUSES.values() for action in actions} - handled() == set()


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
        "apigateway", "cloudformation", "cloudfront", "codedeploy", "lambda", "route53", "s3",
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
