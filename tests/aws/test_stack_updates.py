"""A deployed stack is updated: every parameter is turned on and off, and data and buckets stay.

Four updates cover all parameters, because each takes as long as a deployment.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable

import pytest

from support.aws_emulation.deployed import ARCHITECTURE, Deployed
from support.aws_emulation.server import ACCOUNT, REGION, ROOT, EmulatedAws
from support.aws_emulation.stacks import CODE_BUCKET, deploy, upload_code

NAME = "updated"
RECIPE = """
[presets.one]
widths = [48]
formats = ["webp"]
[[rules]]
match = "**"
presets = ["one"]
"""
# The packages, the text that publishes versions, and what LocalStack has nothing like: a network.
FIXED = {"Architecture", "ExtraFormats", "Release", "VpcSubnetIds", "VpcSecurityGroupIds"}
ON = {
    "MemorySize": "1024",
    "MaximumConcurrency": "20",
    "BatchSize": "2",
    "DeliverConcurrency": "0",
    "MaxUploadMebibytes": "5",
    "MaxMegapixels": "50",
    "CacheControl": "max-age=60",
    "Exif": "make",
    "Overlays": "logos/",
    "Truncated": "lenient",
    "EnableSnapStart": "true",
    "EnableCanary": "true",
    "AlarmEmail": "me@example.org",
    "AlarmTopicArn": f"arn:aws:sns:{REGION}:{ACCOUNT}:alarms",
    "MonthlyBudget": "50",
    "EnableTracing": "true",
    "EnableAccessLogs": "true",
    "LogRetentionDays": "7",
    "PermissionsBoundary": "arn:aws:iam::aws:policy/PowerUserAccess",
    "ApiAuthorization": "API_KEY",
    "ApiRateLimit": "30",
    "ApiBurstLimit": "50",
    "ApiAccessLogs": "with-account-role",
    "EnableDelete": "true",
    "UploadPrefix": "incoming/",
    "UploadOrigin": "https://example.org",
    "AllowUnsigned": "true",
    "Sizes": "48,320",
    "EnableHints": "true",
    "Fallback": "logos/none.png",
    "RenditionsPerOriginal": "5",
    "DialectLenient": "true",
    "DialectAuto": "true",
    "Dialects": "cloudflare,next",
    "NextWidths": "640,1080",
    "VercelWidths": "640",
    "CloudinaryPublicIds": "true",
    "ImgproxySignatureBytes": "16",
    "ImgproxyPresets": "small=rs:fit:200:200/q:70",
    "ImgproxyWatermark": "logos/w.png",
    "MaxFrames": "10",
    "MaxScans": "20",
    "MaxOutputMegapixels": "20",
    "MaxMemoryMebibytes": "300",
    "EnableSvg": "true",
    "Icc": "embed",
    "Sandbox": "off",
    "DeletionLimit": "60",
    "DialectBuckets": "old-pictures,images.example.com=web/",
    "EnablePurge": "true",
    "PriceClass": "PriceClass_All",
    "DomainName": "img.example.org",
    "CertificateArn": f"arn:aws:acm:us-east-1:{ACCOUNT}:certificate/a",
    "HostedZoneId": "Z1",
    "WebAclArn": f"arn:aws:wafv2:us-east-1:{ACCOUNT}:global/webacl/a/b",
    "RenditionOrigin": "",
    "MinimumPollers": "2",
    "MaximumPollers": "20",
    "ReconcileSchedule": "rate(2 days)",
    "ReconcileBacklog": "1000",
    "EnableBackfill": "true",
    "EnableStudio": "true",
    "MissingSeconds": "5",
    "CdnRateLimit": "1000",
    "EventBus": "orders",
    "OriginShieldRegion": REGION,
    "ApiDomainName": "api.example.org",
    "ApiCertificateArn": f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/a",
    "ApiHostedZoneId": "Z1",
}
SECRETS = {
    "SigningKeys": "a:b",
    "Thumbor": "t",
    "Dit": "d",
    "Cloudinary": "c",
    "Imgix": "i",
    "Imgproxy": json.dumps({"key": "00", "salt": "01"}),
}
OFF = dict.fromkeys(("EnableTable", "EnableApi", "EnableCdn", "EnableDashboard"), "false")
POLICY = "01234567-0123-0123-0123-012345678901"
ELSEWHERE = {
    "ApiAuthorization": "COGNITO",
    "ApiUserPoolArn": "arn:aws:cognito-idp:us-east-1:000000000000:userpool/us-east-1_abcdefghi",
    "ApiResourceServer": "https://images.example.org",
    "EnableStudio": "true",
    "StudioLoginDomain": "login.example.org",
    "StudioIdentityProviders": "COGNITO,Staff",
    "ExistingUploadBucket": "uploads-of-before",
    "RecipeBucket": "recipe-of-stack",
    "Recipe": "r.toml",
    "ExistingDistributionId": "E1234567",
    "ExistingDistributionDomain": "d.example.org",
    "ExistingCachePolicyId": POLICY,
    "ExistingOriginPolicyId": POLICY,
    "ExistingHeadersPolicyId": POLICY,
}


def made(aws: EmulatedAws) -> dict[str, str]:
    """Make what parameters refer to, and return those parameters."""
    secrets, s3 = aws.client("secretsmanager"), aws.client("s3")
    found = {"KmsKeyArn": aws.client("kms").create_key()["KeyMetadata"]["Arn"]}
    for name, text in SECRETS.items():
        secret = secrets.create_secret(Name=f"of-{NAME}-{name}", SecretString=text)
        found |= {f"{name}Secret": secret["Name"], f"{name}Version": secret["VersionId"]}
    aws.client("sns").create_topic(Name="alarms")
    aws.client("events").create_event_bus(Name=ON["EventBus"])
    for bucket in (ELSEWHERE["ExistingUploadBucket"], ELSEWHERE["RecipeBucket"]):
        s3.create_bucket(Bucket=bucket)
    s3.put_bucket_notification_configuration(
        Bucket=ELSEWHERE["ExistingUploadBucket"],
        NotificationConfiguration={"EventBridgeConfiguration": {}},
    )
    s3.put_object(Bucket=ELSEWHERE["RecipeBucket"], Key=ELSEWHERE["Recipe"], Body=RECIPE.encode())
    return found


def referring() -> set[str]:
    """The names of the parameters that `made` returns."""
    return {"KmsKeyArn", *(f"{name}{part}" for name in SECRETS for part in ("Secret", "Version"))}


def test_the_updates_cover_every_parameter() -> None:
    section = (ROOT / "deployment" / "template.yaml").read_text().partition("\nParameters:\n")[2]
    names = set(re.findall(r"^  (\w+):$", section.partition("\nRules:\n")[0], re.MULTILINE))
    assert {*ON, *OFF, *ELSEWHERE, *referring(), *FIXED} == names


STUB = """
import json
import urllib.request


def process(event, context):
    return {"batchItemFailures": []}


def publish(event, context):
    answer = {name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")}
    answer |= {"Status": "SUCCESS", "PhysicalResourceId": event.get("PhysicalResourceId", "entries")}
    body = json.dumps(answer).encode()
    urllib.request.urlopen(urllib.request.Request(event["ResponseURL"], body, method="PUT"))


api = deliver = invalidate = reconcile = process
"""


@pytest.fixture(scope="session")
def stubbed(aws: EmulatedAws, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The template with a package that does nothing: this is about the stack."""
    package = tmp_path_factory.mktemp("stub") / "image_processor"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "aws_lambda.py").write_text(STUB)
    upload_code(aws, package.parent, "stub.zip")
    text = (ROOT / "deployment" / "template.yaml").read_text()
    return re.sub(r"CodeUri: \.$", f"CodeUri: s3://{CODE_BUCKET}/stub.zip", text, flags=re.MULTILINE)


def versions(system: Deployed, function: str) -> list[str]:
    listed = system.functions.list_versions_by_function(FunctionName=f"{NAME}-{function}")
    return [version["Version"] for version in listed["Versions"]]


def variables(system: Deployed, function: str) -> dict[str, str]:
    """The environment of the version that callers reach."""
    name = {"FunctionName": f"{NAME}-{function}"}
    version = system.functions.get_alias(**name, Name="live")["FunctionVersion"]
    settings = system.functions.get_function_configuration(**name, Qualifier=version)
    found: dict[str, str] = settings["Environment"]["Variables"]
    return found


@pytest.fixture(scope="session")
def update(aws: EmulatedAws, stubbed: str) -> Callable[[dict[str, str]], Deployed]:
    """Updates the stack; the n-th call publishes the n-th version, and deletes the one before."""
    count = itertools.count(1)

    def run(parameters: dict[str, str]) -> Deployed:
        number = next(count)
        fixed = {"Architecture": ARCHITECTURE, "Release": f"r{number}"}
        system = Deployed(deploy(aws, NAME, stubbed, {**fixed, **parameters}))
        assert versions(system, "process") == ["$LATEST", str(number)]
        assert system.invoke("process", {}) == {"batchItemFailures": []}
        return system

    return run


def test_updates_reach_the_functions_and_keep_data(
    aws: EmulatedAws, update: Callable[[dict[str, str]], Deployed]
) -> None:
    first = update({})
    key = first.upload(b"original")
    first.s3.put_object(Bucket=first.processed, Key=f"{key}/w=48,fm=webp.webp", Body=b"rendition")
    table = {"TableName": first.outputs["TableName"]}
    first.dynamodb.put_item(**table, Item={"id": {"S": "record"}})
    others = made(aws)
    assert others.keys() == referring()

    on = update(ON | others)
    assert variables(on, "process")["IMAGE_PROCESSOR_MAX_BYTES"] == ON["MaxUploadMebibytes"]
    assert variables(on, "deliver")["IMAGE_PROCESSOR_THUMBOR_KEY"] == SECRETS["Thumbor"]
    assert on.api("GET", "/health").status_code == 403

    again = update({})
    assert variables(again, "process")["IMAGE_PROCESSOR_MAX_BYTES"] == "64"
    assert "IMAGE_PROCESSOR_THUMBOR_KEY" not in variables(again, "deliver")
    assert again.api("GET", "/health").status_code != 403
    for name in ("UploadBucket", "ProcessedBucket", "CatalogTable", "IngestQueue", "DeadLetterQueue", "Api"):
        ids = {system.stack.resources[name] for system in (first, on, again)}
        assert len(ids) == 1, name

    elsewhere = update(ELSEWHERE)
    assert elsewhere.uploads == ELSEWHERE["ExistingUploadBucket"]
    assert elsewhere.outputs["StudioClientId"]
    # A stack cannot create a bucket that exists, so its own is not back.
    bare = update(OFF | {"ExistingUploadBucket": elsewhere.uploads})
    assert {"ApiUrl", "CdnUrl", "TableName"}.isdisjoint(bare.outputs)
    names = {row["FunctionName"] for row in bare.functions.list_functions()["Functions"]}
    assert {f"{NAME}-api", f"{NAME}-deliver"}.isdisjoint(names)

    # Whatever was turned off meanwhile: the original, its rendition and the record are still there.
    assert first.s3.head_object(Bucket=first.uploads, Key=key)
    assert first.rendition(f"{key}/w=48,fm=webp.webp")["Body"] == b"rendition"
    assert first.dynamodb.get_item(**table, Key={"id": {"S": "record"}})["Item"]
