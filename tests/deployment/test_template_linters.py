"""The linters find nothing in the template but the listed exceptions, and each exception is needed."""

from __future__ import annotations

import json

from linters import TEMPLATE, Json, checkov, lint, parliament, translated, written
from policies import of_type
from resolve import resolve

# cfn-lint's rule, what its message begins with, and why it is wrong here.
LINT_EXCUSES = {
    ("W1033", "''"): "an empty default; the Split is only reached with subnets",
    ("W1030", "{'Ref': 'CertificateArn'}"): "an empty default; the Ref is only reached with a domain",
}

# checkov's rule, the resources it finds (* is all of them), and why that is right here.
CHECKOV_EXCUSES = {
    ("CKV_AWS_18", "CdnLogBucket"): "it holds logs itself",
    ("CKV_AWS_21", "ProcessedBucket"): "renditions can be made again; old versions would only cost",
    ("CKV_AWS_21", "CdnLogBucket"): "nobody overwrites logs",
    ("CKV_AWS_73", "Apiv1Stage"): "EnableTracing; checkov does not look into Fn::If",
    ("CKV_AWS_76", "Apiv1Stage"): "there are access logs; checkov does not look into Fn::If",
    ("CKV_AWS_86", "Distribution"): "EnableAccessLogs; checkov does not look into Fn::If",
    ("CKV_AWS_115", "*"): "the mapping's MaximumConcurrency and the API's throttling are the limits",
    (
        "CKV_AWS_116",
        "*",
    ): "all calls are synchronous, repeated by a schedule, or from a queue with a dead-letter queue",
    ("CKV_AWS_117", "*"): "nothing here lies in a VPC",
    ("CKV_AWS_119", "CatalogTable"): "KmsKeyArn; checkov does not look into Fn::If",
    ("CKV_AWS_120", "Apiv1Stage"): "answers of the API change with every upload",
    ("CKV_AWS_192", "RateLimitAcl"): "its rule is about Log4j: nothing here runs Java",
    ("CKV_AWS_174", "Distribution"): "TLS 1.2 wherever there is a domain; checkov does not look into Fn::If",
}


def excused(found: set[tuple[str, str]], excuses: dict[tuple[str, str], str]) -> set[tuple[str, str]]:
    """The excuses that ``found`` needs."""
    return {
        (rule, about)
        for rule, about in excuses
        if any(rule == name and (about == "*" or text.startswith(about)) for name, text in found)
    }


def unexcused(found: set[tuple[str, str]], excuses: dict[tuple[str, str], str]) -> set[tuple[str, str]]:
    return {
        (name, text)
        for name, text in found
        if not any(rule == name and (about == "*" or text.startswith(about)) for rule, about in excuses)
    }


def test_cfn_lint() -> None:
    found = lint(TEMPLATE)
    assert unexcused(found, LINT_EXCUSES) == set()
    assert excused(found, LINT_EXCUSES) == LINT_EXCUSES.keys()


def test_checkov() -> None:
    with written(translated()) as file:
        found = checkov(file)
    assert unexcused(found, CHECKOV_EXCUSES) == set()
    assert excused(found, CHECKOV_EXCUSES) == CHECKOV_EXCUSES.keys()


def test_cfn_lint_reports_an_unknown_runtime() -> None:
    function = {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "Code": {"S3Bucket": "packages", "S3Key": "process.zip"},
            "Handler": "image_processor.aws_lambda.process",
            "Role": "arn:aws:iam::111122223333:role/process",
            "Runtime": "python3.1",
        },
    }
    with written({"Resources": {"ProcessFunction": function}}) as file:
        assert {rule for rule, _ in unexcused(lint(file), LINT_EXCUSES)} == {"E3030"}


OPTIONS = [
    {},
    {"EnableTracing": "true"},
    {"EventBus": "ours"},
    {"EnableDelete": "true", "EnablePurge": "true", "Recipe": "r.toml", "RecipeBucket": "our-recipes"},
    {
        "EnableBackfill": "true",
        "KmsKeyArn": "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    },
]


def test_parliament() -> None:
    """On the statements with all options in one call: each start of parliament takes seconds."""
    granted = {}
    for number, parameters in enumerate(OPTIONS):
        for name, role in of_type(resolve(translated(), **parameters), "AWS::IAM::Role").items():
            statements = [
                statement
                for row in role.get("Policies", [])
                for statement in row["PolicyDocument"]["Statement"]
            ]
            for statement in statements:
                named = {**statement, "Sid": f"{statement['Sid']}Of{name}"}
                content = json.dumps(named, sort_keys=True)
                granted.setdefault(content, {**named, "Sid": f"{named['Sid']}With{number}"})
    assert len(granted) > 40
    policy = as_arns({"Version": "2012-10-17", "Statement": list(granted.values())})
    assert parliament(policy) == set()


def test_parliament_reports_an_unknown_action() -> None:
    statement = {"Effect": "Allow", "Action": "s3:GetObjects", "Resource": "arn:aws:s3:::photos/*"}
    assert parliament({"Version": "2012-10-17", "Statement": [statement]}) == {"UNKNOWN_ACTION"}


# Of what the roles may use, an ARN of the right kind: parliament checks their form.
ARNS = {
    "<IngestQueue.Arn>": "arn:aws:sqs:eu-central-1:111122223333:queue",
    "<InvalidationQueue.Arn>": "arn:aws:sqs:eu-central-1:111122223333:invalidations",
    "<Distribution>": "EDFDVBD6EXAMPLE",
    "<EdgeStore.Arn>": "arn:aws:cloudfront::111122223333:key-value-store/1a2b",
    "<CatalogTable.Arn>": "arn:aws:dynamodb:eu-central-1:111122223333:table/records",
    "<UploadBucket.Arn>": "arn:aws:s3:::uploads",
    "<ProcessedBucket.Arn>": "arn:aws:s3:::processed",
    **{
        f"<{name}Logs.Arn>": f"arn:aws:logs:eu-central-1:111122223333:log-group:/aws/lambda/{name}:*"
        for name in ("Process", "Api", "Deliver", "Publish", "Invalidate", "Reconcile")
    },
    **{
        f"<{name}FunctionAliaslive>": f"arn:aws:lambda:eu-central-1:111122223333:function:{name}:live"
        for name in ("Process", "Reconcile")
    },
}


def as_arns(policy: Json) -> Json:
    """``policy`` without references."""

    def value(node: object) -> object:
        if isinstance(node, str):
            for reference, arn in ARNS.items():
                node = node.replace(reference, arn)
            return node
        if isinstance(node, list):
            return [value(item) for item in node]
        return {key: value(item) for key, item in node.items()} if isinstance(node, dict) else node

    filled = value(policy)
    assert isinstance(filled, dict)
    assert "<" not in str(filled)
    return filled
