"""Our own rules hold of the template in every combination of parts, and each rule sees its mistake."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from encryption_rules import UNENCRYPTED, can_have_a_key
from linters import Json, translate, translated
from policies import of_type
from resolve import references, resolve
from template_rules import RULES, broken

from image_processor.aws_lambda.invalidate_function import MAX_PATHS
from image_processor.config.settings import (
    AWS_SETTINGS,
    GENERAL_SETTINGS,
    LIMIT_SETTINGS,
    PREFIX,
    REMOTE_SETTINGS,
    URL_SETTINGS,
)

POLICY = "658327ea-f89d-4fab-a63d-7e88639e58f6"
KEY = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
STUDIO = {"EnableStudio": "true", "ApiAuthorization": "API_KEY"}
POOL = "arn:aws:cognito-idp:eu-central-1:111122223333:userpool/eu-central-1_AbCdEfGhI"
LOGIN = {
    "EnableStudio": "true",
    "ApiAuthorization": "COGNITO",
    "ApiUserPoolArn": POOL,
    "ApiResourceServer": "images",
    "StudioLoginDomain": "login.example.org",
}
TOPIC = "arn:aws:sns:eu-central-1:111122223333:alarms"
# Each optional part away from its default, one line for each.
PARTS: tuple[dict[str, str], ...] = (
    {"EnableTable": "false"},
    {"EnableApi": "false"},
    {"EnableCdn": "false"},
    {"EnableDashboard": "false"},
    {"EnableSnapStart": "true"},
    {"EnableDelete": "true"},
    {"ApiAuthorization": "API_KEY"},
    {"ApiAuthorization": "COGNITO", "ApiUserPoolArn": POOL},
    {"ApiAuthorization": "COGNITO", "ApiUserPoolArn": POOL, "ApiResourceServer": "images"},
    STUDIO,
    {**LOGIN, "ApiResourceServer": ""},
    LOGIN,
    {"ApiAccessLogs": "on"},
    {"ApiAccessLogs": "with-account-role"},
    {"AlarmEmail": "me@example.org"},
    {"AlarmTopicArn": TOPIC},
    {"MonthlyBudget": "50", "AlarmTopicArn": TOPIC},
    {"EnableTracing": "true"},
    {"EnableAccessLogs": "true"},
    {"KmsKeyArn": KEY},
    {"ExistingUploadBucket": "holiday-photos"},
    {"Recipe": "recipe.toml"},
    {"Recipe": "recipe.toml", "RecipeBucket": "our-recipes"},
    {"DomainName": "img.example.org", "CertificateArn": "arn:aws:acm:us-east-1:1:certificate/a"},
    {"DomainName": "img.example.org", "HostedZoneId": "Z1"},
    {"WebAclArn": "arn:aws:wafv2:us-east-1:1:global/webacl/a/b"},
    {"CdnRateLimit": "2000"},
    {"MissingSeconds": "5"},
    {"UploadOrigin": "https://example.org"},
    {"UploadPrefix": "incoming/"},
    {"RenditionOrigin": ""},
    {"DeliverConcurrency": "0"},
    {"SigningKeysSecret": "url-keys"},
    {"SigningKeysSecret": "url-keys", "SigningKeysVersion": "0a1b"},
    {"AllowUnsigned": "true"},
    {"Sizes": "320,640"},
    {"EnableHints": "true"},
    {"Fallback": "logos/none.png"},
    {"ThumborSecret": "thumbor", "DialectLenient": "true", "DialectBuckets": "old-pictures"},
    {"DitSecret": "dit", "ImgproxySecret": "imgproxy", "ImgixSecret": "imgix"},
    {"Dialects": "cloudflare", "DialectAuto": "true"},
    {
        "CloudinarySecret": "cloudinary",
        "CloudinaryPublicIds": "true",
        "DialectBuckets": "images.example.com=web/",
    },
    {"CloudinarySecret": "cloudinary", "CloudinaryVersion": "0a1b"},
    {"Dialects": "next,vercel", "NextWidths": "640,1080", "VercelWidths": "320"},
    {"ImgproxySignatureBytes": "16", "ImgproxyPresets": "a=q:1", "ImgproxyWatermark": "logos/w.png"},
    {"Overlays": "logos/"},
    {"DeletionLimit": "10", "MaxMemoryMebibytes": "900", "MaxOutputMegapixels": "5"},
    {"EnableSvg": "true", "Icc": "preserve", "Sandbox": "off", "MaxFrames": "1", "MaxScans": "10"},
    {"ThumborSecret": "thumbor", "ThumborVersion": "0a1b"},
    {"DitSecret": "dit", "DitVersion": "0a1b", "ImgproxySecret": "imgproxy", "ImgproxyVersion": "2c3d"},
    {"PermissionsBoundary": "arn:aws:iam::111122223333:policy/limit"},
    {"ExtraFormats": "heic,jxl"},
    {"RenditionsPerOriginal": "5"},
    {"EnablePurge": "true"},
    {"EventBus": "default"},
    {"EventBus": "arn:aws:events:eu-central-1:111122223333:event-bus/ours"},
    {"ReconcileSchedule": ""},
    {"ReconcileBacklog": "300000", "MinimumPollers": "2", "MaximumPollers": "300"},
    {"EnableBackfill": "true"},
    {"Architecture": "x86_64"},
    {"OriginShieldRegion": "eu-central-1"},
    {"ExistingDistributionId": "E2QWRUHEXAMPLE", "ExistingDistributionDomain": "img.example.org"},
    dict.fromkeys(("ExistingCachePolicyId", "ExistingOriginPolicyId", "ExistingHeadersPolicyId"), POLICY),
    {"ApiDomainName": "api.example.org", "ApiCertificateArn": "arn:aws:acm:eu-central-1:1:certificate/a"},
    {"ApiDomainName": "api.example.org", "ApiHostedZoneId": "Z1"},
    {"VpcSubnetIds": "subnet-0a1b2c3d,subnet-0a1b2c3e", "VpcSecurityGroupIds": "sg-0a1b2c3d"},
)
PAIRS = [{**one, **other} for one, other in itertools.combinations(PARTS, 2)]
CHOSEN = PAIRS if os.environ.get("STRESS") else PAIRS[::4]


def test_every_rule_holds_for_each_option_and_for_pairs() -> None:
    """For every pair in `make stress`, for every fourth in `make test`."""
    found = {
        str(parameters): wrong
        for parameters in ({}, *PARTS, *CHOSEN)
        if (wrong := broken(resolve(translated(), **parameters)))
    }
    assert found == {}


@pytest.mark.parametrize("parameters", PARTS, ids=str)
def test_every_option_changes_the_stack(parameters: dict[str, str]) -> None:
    assert resolve(translated(), **parameters) != resolve(translated())


def test_without_optional_parts_the_stack_is_minimal() -> None:
    resources = resolve(
        translated(), EnableTable="false", EnableApi="false", EnableCdn="false", EnableDashboard="false",
        ExistingUploadBucket="holiday-photos", ReconcileSchedule="",
    )  # fmt: skip
    types = sorted({row["Type"].removeprefix("AWS::") for row in resources.values()} - {"Outputs"})
    assert types == [
        "CloudWatch::Alarm",
        "Events::Rule",
        "IAM::Role",
        "Lambda::Alias",
        "Lambda::EventSourceMapping",
        "Lambda::Function",
        "Lambda::Version",
        "Logs::LogGroup",
        "S3::Bucket",
        "S3::BucketPolicy",
        "SQS::Queue",
        "SQS::QueuePolicy",
    ]
    assert {name for name in resources if name.endswith("Function")} == {"ProcessFunction"}


def test_deletion_is_granted_only_if_enabled() -> None:
    for expected in ("false", "true"):
        resources = resolve(translated(), EnableDelete=expected)
        granted = [row["Sid"] for row in role_statements(resources, "ApiRole")]
        offered = resources["Api"]["Properties"]["Body"]["paths"]["/images/{id}"]
        assert ("DeleteOriginals" in granted) == ("delete" in offered) == (expected == "true")


def test_invalidation_is_granted_only_if_enabled() -> None:
    for expected in ("false", "true"):
        resources = resolve(translated(), EnablePurge=expected)
        assert ("InvalidateFunction" in resources) == (expected == "true")
        for name in ("Process", "Api", "Reconcile", "Deliver"):
            granted = [row["Sid"] for row in role_statements(resources, f"{name}Role")]
            assert ("QueueInvalidations" in granted) == (expected == "true" and name != "Deliver")
            assert "PurgeCdn" not in granted
            queue = variables(resources, f"{name}Function").get("IMAGE_PROCESSOR_INVALIDATION_QUEUE")
            assert queue == ("<InvalidationQueue>" if expected == "true" and name != "Deliver" else None)
    assert variables(resources, "InvalidateFunction")["IMAGE_PROCESSOR_DISTRIBUTION"] == "<Distribution>"


def test_a_bulk_overwrite_becomes_few_invalidations() -> None:
    """CloudFront runs 15 paths with a wildcard at a time ("Concurrent invalidation request maximum")."""
    mapping = of(resolve(translated(), EnablePurge="true"), "InvalidateMapping")
    assert mapping["ScalingConfig"]["MaximumConcurrency"] * MAX_PATHS <= 15
    assert mapping["BatchSize"] >= 100
    assert mapping["MaximumBatchingWindowInSeconds"] > 0  # needed for batches of more than ten


@pytest.mark.parametrize(
    ("bus", "resource"),
    [
        ("default", "arn:aws:events:eu-central-1:111122223333:event-bus/default"),
        (
            "arn:aws:events:us-east-1:444455556666:event-bus/theirs",
            "arn:aws:events:us-east-1:444455556666:event-bus/theirs",
        ),
        ("", None),
    ],
)
def test_events_are_granted_on_the_one_bus(bus: str, resource: str | None) -> None:
    resources = resolve(translated(), EventBus=bus)
    for name in ("Process", "Api"):
        grants = {row["Sid"]: row for row in role_statements(resources, f"{name}Role")}
        assert grants.get("PutEvents", {}).get("Resource") == resource
        assert variables(resources, f"{name}Function").get("IMAGE_PROCESSOR_EVENT_BUS", "") == bus
    assert "PutEvents" not in {row["Sid"] for row in role_statements(resources, "DeliverRole")}


def test_events_name_the_address_of_the_cdn() -> None:
    resources = resolve(translated())
    for name in ("ProcessFunction", "ApiFunction"):
        assert variables(resources, name)["IMAGE_PROCESSOR_PUBLIC_URL"] == "https://<Distribution.DomainName>"


def test_signing_keys_are_read_in_the_named_version() -> None:
    for version, expected in (
        ("", A_SECRET),
        ("1f-2", "{{resolve:secretsmanager:url-keys:SecretString:::1f-2}}"),
    ):
        resources = resolve(translated(), SigningKeysSecret="url-keys", SigningKeysVersion=version)
        for name in ("ApiFunction", "DeliverFunction"):
            assert variables(resources, name)["IMAGE_PROCESSOR_SIGNING_KEYS"] == expected


NOT_PARAMETERS = {
    # One machine only.
    *(
        "DATA",
        "HOST",
        "PORT",
        "ALLOWED_HOSTS",
        "API_ORIGINS",
        "WORKERS",
        "STOP_SECONDS",
        "SWEEP_SECONDS",
        "MIN_FREE_BYTES",
        "RESUMABLE_HOURS",
    ),
    *("TOKENS", "TOKENS_FILE", "ALLOW_ANONYMOUS", "UNCONDITIONAL_WRITES"),
    *("EVENT_STREAMS", "EVENT_STREAMS_PER_CLIENT", "WEBHOOK_URL", "WEBHOOK_SECRET", "WEBHOOK_DAYS"),
    *("DELIVERY_QUEUE", "CACHE_BYTES", "DECODED_BYTES", "SERVER_PROCESSES"),
    *(spec.name for spec in REMOTE_SETTINGS),
    *("CONFIG", "LOG_FORMAT", "LOG_LEVEL", "LOG_HITS"),
    # AWS has the recipe in its package or in a bucket.
    "RECIPE_WRITABLE",
    # A directory: the packages have no fonts.
    "FONTS",
    # The headers policy sends it (RenditionOrigin).
    "CORS_ORIGIN",
    # Leases and the functions' timeouts depend on it.
    "CPU_SECONDS",
}


def test_every_setting_of_aws_can_be_set() -> None:
    common = (*GENERAL_SETTINGS, *URL_SETTINGS, *REMOTE_SETTINGS, *AWS_SETTINGS, *LIMIT_SETTINGS)
    given = dict(item for part in PARTS for item in part.items()) | {
        "EnableCdn": "true", "EnableApi": "true", "EnableTable": "true", "ReconcileSchedule": "rate(1 day)",
    }  # fmt: skip
    resources = resolve(translated(), **given)
    passed = {
        name.removeprefix(PREFIX)
        for function in of_type(resources, "AWS::Lambda::Function").values()
        for name in function["Environment"]["Variables"]
    }
    assert {spec.name for spec in common} - passed == NOT_PARAMETERS


def test_dialects_without_a_secret_are_named() -> None:
    resources = resolve(translated(), DitSecret="dit", Dialects="cloudflare", DialectAuto="true")
    assert variables(resources, "DeliverFunction")["IMAGE_PROCESSOR_DIALECTS"] == "dit,cloudflare"
    assert variables(resources, "PublishFunction")["IMAGE_PROCESSOR_DIALECTS"] == "dit,cloudflare"
    assert variables(resources, "DeliverFunction")["IMAGE_PROCESSOR_DIALECT_AUTO"] == "1"
    alone = variables(
        resolve(translated(), Dialects="next,cloudinary", NextWidths="640,1080", CloudinaryPublicIds="true"),
        "DeliverFunction",
    )
    assert alone["IMAGE_PROCESSOR_DIALECTS"] == "next,cloudinary"
    assert alone["IMAGE_PROCESSOR_NEXT_WIDTHS"] == "640,1080"
    assert alone["IMAGE_PROCESSOR_CLOUDINARY_PUBLIC_IDS"] == "1"
    assert "IMAGE_PROCESSOR_VERCEL_WIDTHS" not in alone


def test_a_dialect_secret_enables_it_in_deliver_only() -> None:
    silent = variables(resolve(translated()), "DeliverFunction")
    assert not {name for name in silent if "DIALECT" in name or "THUMBOR" in name}
    resources = resolve(translated(), ThumborSecret="old", ImgproxySecret="keys", DialectBuckets="b-1,b-2")
    spoken = variables(resources, "DeliverFunction")
    assert spoken["IMAGE_PROCESSOR_DIALECTS"] == "thumbor,imgproxy"
    assert spoken["IMAGE_PROCESSOR_BUCKETS"] == "b-1,b-2"
    assert spoken["IMAGE_PROCESSOR_THUMBOR_KEY"] == "{{resolve:secretsmanager:old}}"
    assert spoken["IMAGE_PROCESSOR_IMGPROXY_KEY"] == "{{resolve:secretsmanager:keys:SecretString:key}}"
    assert spoken["IMAGE_PROCESSOR_IMGPROXY_SALT"] == "{{resolve:secretsmanager:keys:SecretString:salt}}"
    assert "IMAGE_PROCESSOR_DIT_SECRET" not in spoken
    for name in ("ProcessFunction", "ApiFunction"):
        assert not {each for each in variables(resources, name) if "THUMBOR" in each or "IMGPROXY" in each}


def test_dialect_secrets_are_read_in_the_named_version() -> None:
    resources = resolve(
        translated(), ThumborSecret="old", ThumborVersion="1f-2", DitSecret="dit", DitVersion="3a-4",
        ImgproxySecret="keys", ImgproxyVersion="5b-6", CloudinarySecret="cloud", CloudinaryVersion="7c-8",
        ImgixSecret="imgix", ImgixVersion="9d-0",
    )  # fmt: skip
    found = variables(resources, "DeliverFunction")
    assert found["IMAGE_PROCESSOR_THUMBOR_KEY"] == "{{resolve:secretsmanager:old:SecretString:::1f-2}}"
    assert found["IMAGE_PROCESSOR_DIT_SECRET"] == "{{resolve:secretsmanager:dit:SecretString:::3a-4}}"
    assert (
        found["IMAGE_PROCESSOR_CLOUDINARY_SECRET"] == "{{resolve:secretsmanager:cloud:SecretString:::7c-8}}"
    )
    assert found["IMAGE_PROCESSOR_DIALECTS"] == "thumbor,dit,imgproxy,imgix,cloudinary"
    assert found["IMAGE_PROCESSOR_IMGIX_TOKENS"] == "{{resolve:secretsmanager:imgix:SecretString:::9d-0}}"
    for part in ("key", "salt"):
        reference = f"{{{{resolve:secretsmanager:keys:SecretString:{part}::5b-6}}}}"
        assert found[f"IMAGE_PROCESSOR_IMGPROXY_{part.upper()}"] == reference


def test_a_permissions_boundary_bounds_every_role() -> None:
    boundary = "arn:aws:iam::111122223333:policy/limit"
    rows = translated()["Resources"].items()
    roles = {name: row["Properties"] for name, row in rows if row["Type"] == "AWS::IAM::Role"}
    reference = {"Fn::If": ["HasBoundary", {"Ref": "PermissionsBoundary"}, {"Ref": "AWS::NoValue"}]}
    assert {name for name, role in roles.items() if role.get("PermissionsBoundary") != reference} == set()
    for given, expected in (({"PermissionsBoundary": boundary}, boundary), ({}, None)):
        role = of(resolve(translated(), **given), "ProcessRole")
        assert role.get("PermissionsBoundary") == expected


def test_deliver_reserves_concurrency_by_default() -> None:
    for value, expected in (("50", "50"), ("0", None)):
        deliver = of(resolve(translated(), DeliverConcurrency=value), "DeliverFunction")
        assert deliver.get("ReservedConcurrentExecutions") == expected
    assert "ReservedConcurrentExecutions" in of(resolve(translated()), "DeliverFunction")


def test_a_release_publishes_a_version() -> None:
    first, again, other = (
        {name for name, row in template["Resources"].items() if row["Type"] == "AWS::Lambda::Version"}
        for template in translate({}, {}, {"Release": "r2"})
    )
    assert first == again
    assert len(first) == len(of_type(translated()["Resources"], "AWS::Lambda::Function"))
    assert not first & other


def test_a_canary_rolls_back_on_the_error_alarm() -> None:
    (template,) = translate({"EnableCanary": "true"})
    for parts in ({}, {"EnableApi": "false", "EnableCdn": "false"}):
        resources = resolve(template, EnableCanary="true", **parts)
        assert broken(resources) == {}
        # Only CloudFormation invokes publish, and not by its alias.
        aliases = {
            name: row
            for name, row in resources.items()
            if row["Type"] == "AWS::Lambda::Alias" and name != "PublishFunctionAliaslive"
        }
        groups = of_type(resources, "AWS::CodeDeploy::DeploymentGroup")
        functions = of_type(resources, "AWS::Lambda::Function").keys() - {"PublishFunction"}
        assert len(aliases) == len(groups) == len(functions)
        for alias in aliases.values():
            update = alias["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]
            group = groups[next(references(update["DeploymentGroupName"]))]
            assert group["AlarmConfiguration"] == {"Enabled": True, "Alarms": [{"Name": "<ErrorAlarm>"}]}
            assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]
            assert group["ServiceRoleArn"] == "<CanaryRole.Arn>"
            assert group["DeploymentConfigName"].endswith("Canary10Percent10Minutes")
        # The alarm looks at whole periods, so the canary lasts longer than one.
        periods = {row["MetricStat"]["Period"] for row in of(resources, "ErrorAlarm")["Metrics"][1:]}
        assert max(periods) < 600


def test_without_canaries_there_is_nothing_of_codedeploy() -> None:
    assert "codedeploy" not in str(resolve(translated())).lower()


def test_the_cdn_is_watched_where_its_metrics_are() -> None:
    def watched(region: str) -> set[str]:
        resources = resolve(translated(), **{"AWS::Region": region})
        return {
            metric["Namespace"]
            for metric in of_type(resources, "AWS::CloudWatch::Alarm").values()
            if "Namespace" in metric
        }

    assert watched("us-east-1") - watched("eu-central-1") == {"AWS/CloudFront"}


def test_an_alarm_may_tell_a_topic_and_an_address() -> None:
    for parameters, reported in (
        ({}, []),
        ({"AlarmTopicArn": TOPIC}, [TOPIC]),
        ({"AlarmTopicArn": TOPIC, "AlarmEmail": "me@example.org"}, ["<AlarmTopic>", TOPIC]),
    ):
        assert of(resolve(translated(), **parameters), "ErrorAlarm")["AlarmActions"] == reported


def test_the_refused_rate_needs_a_number_of_uploads() -> None:
    rate = of(resolve(translated()), "RefusedAlarm")["Metrics"][0]["Expression"]
    # CloudWatch's metric math, in Python's words.
    python = re.sub(r"IF\((.+?), (.+), (.+)\)", r"(\2) if (\1) else (\3)", rate)
    rates = [eval(python, {"refused": r, "processed": p}) for r, p in ((19, 0), (20, 0), (20, 20), (5, 95))]
    assert rates == [0, 100, 50, 5]


def test_a_budget_counts_the_stack_alone() -> None:
    budget = of(resolve(translated(), MonthlyBudget="50", AlarmTopicArn=TOPIC), "Budget")
    assert budget["Budget"]["CostFilters"] == {"TagKeyValue": ["aws:cloudformation:stack-name$images"]}
    for row in budget["NotificationsWithSubscribers"]:
        assert row["Subscribers"] == [{"SubscriptionType": "SNS", "Address": TOPIC}]


def test_access_logs_are_delivered_by_the_bucket_that_is_logged() -> None:
    resources = resolve(translated(), EnableAccessLogs="true")
    for name in ("Upload", "Processed"):
        logging = of(resources, f"{name}Bucket")["LoggingConfiguration"]
        assert logging["DestinationBucketName"] == "<AccessLogBucket>"
        let = statement(resources, "AccessLogBucketPolicy", f"Let{name}BucketLog")
        assert let["Resource"] == f"<AccessLogBucket.Arn>/{logging['LogFilePrefix']}*"
        assert let["Condition"]["ArnEquals"] == {"aws:SourceArn": f"<{name}Bucket.Arn>"}


def test_null_is_a_valid_bucket_and_content_type() -> None:
    (api,) = of_type(resolve(translated()), "AWS::ApiGateway::RestApi").values()
    schemas = api["Body"]["components"]["schemas"]
    for field in (
        schemas["Process"]["properties"]["bucket"],
        schemas["Upload"]["properties"]["content_type"],
    ):
        # In draft 4 maxLength restricts strings alone.
        assert "null" in field.get("type", ["null"])


def role_statements(resources: Json, role: str) -> list[Json]:
    found: list[Json] = resources[role]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
    return found


# What to break, in the resolved template, and the rule that must see it.
Break = Callable[[Json], Any]


def of(resources: Json, name: str) -> Json:
    properties: Json = resources[name]["Properties"]
    return properties


def statement(resources: Json, name: str, sid: str) -> Json:
    document = of(resources, name).get("PolicyDocument")
    rows = document["Statement"] if document else role_statements(resources, name)
    found: Json = next(row for row in rows if row and row["Sid"] == sid)
    return found


def distribution(resources: Json) -> Json:
    config: Json = of(resources, "Distribution")["DistributionConfig"]
    return config


def studio(resources: Json) -> Json:
    config: Json = of(resources, "StudioDistribution")["DistributionConfig"]
    return config


def failover(resources: Json) -> Json:
    codes: Json = distribution(resources)["OriginGroups"]["Items"][0]["FailoverCriteria"]["StatusCodes"]
    return codes


def notifications(resources: Json) -> list[Json]:
    rows: list[Json] = of(resources, "UploadBucket")["NotificationConfiguration"]["QueueConfigurations"]
    return rows


def gateway_responses(resources: Json) -> Json:
    found: Json = of(resources, "Api")["Body"]["x-amazon-apigateway-gateway-responses"]
    return found


def query_strings(resources: Json, kind: str) -> Json:
    """What a policy of the distribution says of query parameters."""
    name = {"Cache": "RenditionCachePolicy", "OriginRequest": "RenditionOriginPolicy"}[kind]
    config = of(resources, name)[f"{kind}PolicyConfig"]
    found: Json = config.get("ParametersInCacheKeyAndForwardedToOrigin", config)["QueryStringsConfig"]
    return found


def variables(resources: Json, function: str) -> Json:
    found: Json = of(resources, function)["Environment"]["Variables"]
    return found


A_SECRET = "{{resolve:secretsmanager:url-keys}}"

MISTAKES: dict[str, list[Break]] = {
    "no_reference_is_dangling": [lambda all_: all_.pop("CatalogTable")],
    "the_bucket_notifies_once_of_uploads_and_deletions": [
        lambda all_: notifications(all_)[0].update(Event="s3:ObjectCreate:*"),
        lambda all_: notifications(all_).pop(),
        lambda all_: notifications(all_).append(deepcopy(notifications(all_)[0])),
    ],
    "only_known_services_are_trusted": [
        lambda all_: of(all_, "ApiPermission").update(Principal="apigw.amazonaws.com"),
        lambda all_: statement(all_, "IngestQueuePolicy", "LetUploadBucketSend").update(
            Principal={"Service": "s3.amazon.com"}
        ),
    ],
    "a_trusted_service_acts_for_one_resource": [
        lambda all_: statement(all_, "IngestQueuePolicy", "LetUploadBucketSend")["Condition"].pop(
            "ArnEquals"
        ),
        lambda all_: statement(all_, "IngestQueuePolicy", "LetUploadBucketSend")["Condition"].pop(
            "StringEquals"
        ),
        lambda all_: of(all_, "DeliverUrlPermission").pop("SourceArn"),
    ],
    "nothing_is_allowed_by_a_wildcard": [
        lambda all_: statement(all_, "ProcessRole", "KeepRenditions").update(Action="s3:*"),
        lambda all_: statement(all_, "ApiRole", "KeepRecords").update(Resource="*"),
    ],
    "every_bucket_is_private_and_encrypted": [
        lambda all_: of(all_, "UploadBucket")["PublicAccessBlockConfiguration"].pop("BlockPublicAcls"),
        lambda all_: of(all_, "ProcessedBucket").pop("BucketEncryption"),
        lambda all_: of(all_, "ProcessedBucket").pop("OwnershipControls"),
        lambda all_: of(all_, "UploadBucket")["LifecycleConfiguration"]["Rules"].pop(),
    ],
    "one_key_encrypts_everything_or_nothing": [
        lambda all_: of(all_, "ApiLogs").pop("KmsKeyId"),
        lambda all_: of(all_, "CatalogTable").pop("SSESpecification"),
        lambda all_: of(all_, "DeadLetterQueue").update(KmsMasterKeyId="alias/aws/sqs"),
        lambda all_: of(all_, "AlarmTopic").pop("KmsMasterKeyId"),
        lambda all_: of(all_, "DeliverFunction").pop("KmsKeyArn"),
        lambda all_: all_.update(New={"Type": "AWS::SecretsManager::Secret", "Properties": {"Name": "x"}}),
        lambda all_: of(all_, "ReconcileStart").update(KmsKeyArn=KEY),
    ],
    "roles_may_use_the_key_as_they_need": [
        lambda all_: statement(all_, "ApiRole", "Encrypt").update(Action="kms:Encrypt"),
        lambda all_: statement(all_, "ApiRole", "Encrypt").pop("Condition"),
        lambda all_: statement(all_, "ProcessRole", "Decrypt")["Condition"]["StringEquals"][
            "kms:ViaService"
        ].pop(1),
        lambda all_: statement(all_, "DeliverRole", "Decrypt").update(Resource=KEY + "0"),
        lambda all_: statement(all_, "DeliverRole", "KeepRenditions").update(Action="s3:GetObject"),
    ],
    "the_table_matches_the_catalog": [
        lambda all_: of(all_, "CatalogTable")["GlobalSecondaryIndexes"].pop(),
    ],
    "buckets_and_queues_refuse_plain_http": [
        lambda all_: statement(all_, "UploadBucketPolicy", "DenyPlainHttp").update(
            Resource="<UploadBucket.Arn>"
        ),
        lambda all_: all_.pop("DeadLetterQueuePolicy"),
        lambda all_: of(all_, "IngestQueue").pop("KmsMasterKeyId"),
        lambda all_: of(all_, "IngestQueue").update(SqsManagedSseEnabled=True),
    ],
    "functions_with_a_table_are_denied_records_in_the_bucket": [
        *(
            lambda all_, role=role: statement(all_, f"{role}Role", "DenyRecords").update(Resource="<X.Arn>/*")
            for role in ("Process", "Api", "Deliver")
        ),
        lambda all_: statement(all_, "DeliverRole", "DenyRecords").update(Action="s3:GetObject"),
    ],
    "the_cdn_never_sees_records": [
        lambda all_: statement(all_, "ProcessedBucketPolicy", "HideRecordsFromCdn").update(
            Resource="<X.Arn>/*"
        ),
        lambda all_: distribution(all_)["DefaultCacheBehavior"].pop("FunctionAssociations"),
    ],
    "messages_wait_long_enough_and_end_in_the_dead_letter_queue": [
        lambda all_: of(all_, "IngestQueue").update(VisibilityTimeout=719),
        lambda all_: (
            of(all_, "IngestQueue").update(VisibilityTimeout=300),
            of(all_, "ProcessFunction").update(Timeout=50),
        ),
        lambda all_: of(all_, "ProcessFunction").update(Timeout=89),
        lambda all_: of(all_, "IngestQueue")["RedrivePolicy"].update(maxReceiveCount=4),
        lambda all_: of(all_, "ProcessMapping").pop("FunctionResponseTypes"),
        lambda all_: of(all_, "DeadLetterQueue").update(MessageRetentionPeriod=345600),
    ],
    "every_function_has_its_own_role_and_log": [
        lambda all_: of(all_, "ApiFunction").update(Role="<ProcessRole.Arn>"),
        lambda all_: of(all_, "ApiFunction").pop("LoggingConfig"),
        lambda all_: of(all_, "DeliverLogs").pop("RetentionInDays"),
        lambda all_: statement(all_, "ApiRole", "WriteLogs").update(Resource="<ProcessLogs.Arn>"),
    ],
    "every_variable_is_a_setting": [
        lambda all_: of(all_, "ApiFunction")["Environment"]["Variables"].update(IMAGE_PROCESSOR_MAX_BYTE=1),
    ],
    "every_caller_reaches_the_alias": [
        lambda all_: of(all_, "ProcessMapping").update(FunctionName="<ProcessFunction>"),
        lambda all_: of(all_, "ApiPermission").update(FunctionName="<ApiFunction>"),
        lambda all_: of(all_, "DeliverUrl").pop("Qualifier"),
        lambda all_: of(all_, "Api")["Body"]["paths"]["/health"]["get"][
            "x-amazon-apigateway-integration"
        ].update(uri="<ApiFunction.Arn>"),
    ],
    "old_versions_are_deleted": [
        lambda all_: next(row for row in all_.values() if row["Type"] == "AWS::Lambda::Version").update(
            DeletionPolicy="Retain"
        ),
    ],
    "schedules_invoke_their_function_alone": [
        lambda all_: statement(all_, "ScheduleRole", "StartReconcile").update(Resource="<X>"),
        lambda all_: of(all_, "ReconcileStart")["Target"].update(Arn="<ProcessFunctionAliaslive>"),
        lambda all_: of(all_, "ReconcileFunction").update(Timeout=301),
    ],
    "schedules_of_other_accounts_cannot_use_the_role": [
        lambda all_: of(all_, "ScheduleRole")["AssumeRolePolicyDocument"]["Statement"][0].pop("Condition"),
    ],
    "a_queue_is_read_with_one_kind_of_scaling": [
        lambda all_: of(all_, "ProcessMapping").pop("ScalingConfig"),
        lambda all_: of(all_, "ProcessMapping").update(ProvisionedPollerConfig={"MinimumPollers": 2}),
    ],
    "the_cdn_may_call_the_function_url": [
        lambda all_: all_.pop("DeliverInvokePermission"),
        lambda all_: of(all_, "DeliverInvokePermission").pop("InvokedViaFunctionUrl"),
        lambda all_: of(all_, "DeliverUrl").update(AuthType="NONE"),
    ],
    "lists_declare_their_quantity": [lambda all_: failover(all_).update(Quantity=4)],
    "the_cdn_fails_over_to_the_function": [
        lambda all_: failover(all_).update(Items=[400, 403, 404, 500, 502, 504]),
        lambda all_: failover(all_).update(Items=[403, 404, 500, 503, 504]),
        lambda all_: distribution(all_)["Origins"][1].pop("ConnectionAttempts"),
        lambda all_: distribution(all_)["OriginGroups"]["Items"][0]["Members"]["Items"].reverse(),
        lambda all_: distribution(all_)["DefaultCacheBehavior"].update(TargetOriginId="processed"),
        lambda all_: distribution(all_)["Origins"][1].update(OriginAccessControlId="<BucketAccess.Id>"),
        lambda all_: distribution(all_)["DefaultCacheBehavior"].update(ViewerProtocolPolicy="allow-all"),
    ],
    "the_studio_passes_the_api_on_uncached": [
        lambda all_: studio(all_)["CacheBehaviors"][0].update(CachePolicyId=POLICY),
        lambda all_: studio(all_)["CacheBehaviors"][1].update(ViewerProtocolPolicy="redirect-to-https"),
        lambda all_: studio(all_)["CacheBehaviors"][2].update(TargetOriginId="page"),
        lambda all_: studio(all_)["DefaultCacheBehavior"].update(AllowedMethods=["GET", "PUT"]),
        lambda all_: studio(all_)["Origins"][0].pop("OriginAccessControlId"),
        lambda all_: statement(all_, "StudioBucketPolicy", "LetStudioRead").update(Action="s3:*"),
        lambda all_: statement(all_, "StudioBucketPolicy", "LetStudioRead").update(Condition={}),
    ],
    "cache_times_are_in_order": [
        lambda all_: of(all_, "RenditionCachePolicy")["CachePolicyConfig"].update(MinTTL=86401),
    ],
    "errors_are_cached_as_the_function_says": [
        lambda all_: distribution(all_)["CustomErrorResponses"].pop(0),
        lambda all_: distribution(all_)["CustomErrorResponses"][1].update(ErrorCachingMinTTL=5),
        lambda all_: distribution(all_)["CustomErrorResponses"][-1].update(ErrorCachingMinTTL=60),
    ],
    "one_object_serves_every_encoding": [
        lambda all_: of(all_, "RenditionCachePolicy")["CachePolicyConfig"][
            "ParametersInCacheKeyAndForwardedToOrigin"
        ].update(EnableAcceptEncodingGzip=True),
    ],
    "a_rate_limit_is_the_web_acl": [
        lambda all_: of(all_, "RateLimitAcl").update(Scope="REGIONAL"),
        lambda all_: of(all_, "RateLimitAcl")["Rules"].clear(),
        lambda all_: distribution(all_).pop("WebACLId"),
    ],
    "the_cloudfront_function_has_its_key_value_store": [
        lambda all_: of(all_, "EdgeFunction")["FunctionConfig"].pop("KeyValueStoreAssociations"),
    ],
    "signatures_reach_the_function_and_not_the_cache_key": [
        lambda all_: query_strings(all_, "Cache")["QueryStrings"].append("w"),
        lambda all_: query_strings(all_, "Cache").update(QueryStringBehavior="all"),
        lambda all_: query_strings(all_, "OriginRequest")["QueryStrings"].pop(),
        lambda all_: query_strings(all_, "OriginRequest").update(QueryStringBehavior="all"),
    ],
    "signing_keys_are_only_in_the_secret": [
        lambda all_: variables(all_, "DeliverFunction").update(IMAGE_PROCESSOR_SIGNING_KEYS="a:secret"),
        lambda all_: variables(all_, "ProcessFunction").update(IMAGE_PROCESSOR_SIGNING_KEYS=A_SECRET),
        lambda all_: variables(all_, "DeliverFunction").update(IMAGE_PROCESSOR_SIGNING_KEYS=A_SECRET),
    ],
    "every_api_operation_is_authorised": [
        lambda all_: of(all_, "Api")["Body"]["paths"]["/health"]["get"].pop("security"),
        lambda all_: of(all_, "Api")["Body"]["x-amazon-apigateway-request-validators"]["strict"].update(
            validateRequestBody=False
        ),
        lambda all_: of(all_, "Apiv1Stage").pop("MethodSettings"),
    ],
    "errors_of_the_gateway_are_problem_documents": [
        lambda all_: gateway_responses(all_).pop("THROTTLED"),
        lambda all_: gateway_responses(all_)["DEFAULT_5XX"].update(statusCode="502"),
        lambda all_: gateway_responses(all_)["THROTTLED"].update(responseParameters={}),
    ],
    "models_of_the_api_are_draft_4": [
        lambda all_: of(all_, "Api")["Body"]["components"]["schemas"]["Process"]["properties"][
            "bucket"
        ].update(nullable=True),
    ],
    "irreplaceable_data_is_retained": [
        lambda all_: all_["UploadBucket"].pop("DeletionPolicy"),
        lambda all_: all_["UploadBucket"].update(DeletionPolicy="Retain"),
        lambda all_: all_["CatalogTable"].update(UpdateReplacePolicy="Delete"),
    ],
    "duration_alarms_fire_before_the_timeout": [lambda all_: of(all_, "ProcessFunction").update(Timeout=60)],
    "every_alarm_tells_whoever_is_named": [
        lambda all_: of(all_, "ErrorAlarm").pop("AlarmActions"),
        lambda all_: [
            row["Properties"].pop("AlarmActions") for name, row in all_.items() if name.endswith("Alarm")
        ],
    ],
    "alarms_watch_what_exists": [
        lambda all_: of(all_, "ApiErrorAlarm")["Dimensions"].pop(),
        lambda all_: of(all_, "ApiLatencyAlarm")["Dimensions"][0].update(Value="another"),
        lambda all_: of(all_, "TableThrottleAlarm")["Metrics"][3]["MetricStat"]["Metric"]["Dimensions"][
            1
        ].update(Value="oldest"),
    ],
    "every_function_is_in_the_alarms_of_errors_and_throttles": [
        lambda all_: of(all_, "ErrorAlarm")["Metrics"].pop(),
        lambda all_: of(all_, "ThrottleAlarm")["Metrics"].pop(1),
        lambda all_: all_.update(NewFunction=all_["ApiFunction"]),
    ],
    "the_table_and_each_index_are_in_the_alarm_of_throttles": [
        *(
            lambda all_, place=place: of(all_, "TableThrottleAlarm")["Metrics"].pop(place)
            for place in range(1, 9)
        ),
    ],
    "an_alarm_has_few_metrics": [
        lambda all_: of(all_, "ErrorAlarm")["Metrics"].extend(of(all_, "ErrorAlarm")["Metrics"][1:] * 2),
    ],
    "functions_are_traced_with_a_grant_or_not": [
        lambda all_: of(all_, "ApiFunction")["TracingConfig"].update(Mode="Active"),
        lambda all_: of(all_, "Apiv1Stage").update(TracingEnabled=True),
    ],
}


def test_every_excuse_from_encryption_is_needed() -> None:
    resources = resolve(translated(), KmsKeyArn=KEY, EnableAccessLogs="true", **STUDIO)
    types = {name: row["Type"] for name, row in resources.items()}
    for excused in UNENCRYPTED:
        assert can_have_a_key(types.get(excused, excused)), excused
        assert excused in types or excused in types.values(), excused


def test_every_rule_has_a_violation() -> None:
    assert [rule.__name__ for rule in RULES] == list(MISTAKES)


@pytest.mark.parametrize(
    ("rule", "number"), [(rule, number) for rule, rows in MISTAKES.items() for number in range(len(rows))]
)
def test_a_violation_is_reported(rule: str, number: int) -> None:
    resources = deepcopy(
        resolve(translated(), AlarmEmail="me@example.org", CdnRateLimit="2000", KmsKeyArn=KEY, **STUDIO)
    )
    assert broken(resources) == {}
    MISTAKES[rule][number](resources)
    assert rule in broken(resources)
