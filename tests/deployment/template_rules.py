"""What must hold of the template and no judge from outside sees: one function for each rule.

A rule reads the resources that `resolve` left, and yields what is wrong.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator

import alarm_rules as alarms
import edge_rules as edge
import encryption_rules as encryption
from policies import listed, of_type, statements
from resolve import Json, references

from image_processor.catalog.dynamodb.schema import TABLE
from image_processor.config.settings import ALL_SETTINGS, PREFIX, Settings

Rule = Callable[[Json], Iterator[str]]

S3_EVENTS = frozenset({"s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:LifecycleExpiration:*"})
EXISTING = re.compile(r"arn:aws:cloudfront::\d+:distribution/E\w+")
OPEN_KEYS = re.compile(r"(<\w+Bucket\.Arn>|arn:aws:s3:::[\w.-]+)/[\w./-]*\*")
RETAINED = frozenset({"UploadBucket", "CatalogTable", "AccessLogBucket", "CdnLogBucket"})
RECEIVES = 5
"""At least, as "Creating and configuring an Amazon SQS event source mapping" of Lambda's guide has it."""
# Who may be trusted in which kind of policy.
PRINCIPALS = {
    "AWS::IAM::Role": {
        *("lambda.amazonaws.com", "apigateway.amazonaws.com", "codedeploy.amazonaws.com"),
        *("scheduler.amazonaws.com", "batchoperations.s3.amazonaws.com"),
    },
    "AWS::S3::BucketPolicy": {"cloudfront.amazonaws.com", "logging.s3.amazonaws.com"},
    "AWS::SQS::QueuePolicy": {"s3.amazonaws.com", "events.amazonaws.com"},
    "AWS::Lambda::Permission": {"cloudfront.amazonaws.com", "apigateway.amazonaws.com"},
}


def no_reference_is_dangling(resources: Json) -> Iterator[str]:
    for name, row in resources.items():
        yield from (f"{name} -> {other}" for other in references(row) if other not in resources)


def the_bucket_notifies_once_of_uploads_and_deletions(resources: Json) -> Iterator[str]:
    for name, bucket in of_type(resources, "AWS::S3::Bucket").items():
        rows = bucket.get("NotificationConfiguration", {}).get("QueueConfigurations", [])
        yield from (f"{name}: {row['Event']}" for row in rows if row["Event"] not in S3_EVENTS)
        events = {row["Event"] for row in rows}
        if rows and events != S3_EVENTS:
            yield f"{name}: only {events}"
        for one, other in itertools.combinations(rows, 2):
            prefixes = sorted(map(_prefix, (one, other)))
            if one["Event"] == other["Event"] and prefixes[1].startswith(prefixes[0]):
                yield f"{name}: two of {one['Event']} overlap"
    for name, rule in of_type(resources, "AWS::Events::Rule").items():
        if set(rule["EventPattern"]["detail-type"]) != {"Object Created", "Object Deleted"}:
            yield f"{name}: {rule['EventPattern']['detail-type']}"


def _prefix(row: Json) -> str:
    rules = row.get("Filter", {}).get("S3Key", {}).get("Rules", [])
    return next((rule["Value"] for rule in rules if rule["Name"] == "prefix"), "")


def only_known_services_are_trusted(resources: Json) -> Iterator[str]:
    for name, statement in statements(resources):
        if statement["Effect"] == "Allow" and "Principal" in statement:
            trusted = set(listed(statement["Principal"]["Service"]))
            yield from (f"{name}: {who}" for who in trusted - PRINCIPALS[resources[name]["Type"]])
    for name, permission in of_type(resources, "AWS::Lambda::Permission").items():
        if permission["Principal"] not in PRINCIPALS["AWS::Lambda::Permission"]:
            yield f"{name}: {permission['Principal']}"


def a_trusted_service_acts_for_one_resource(resources: Json) -> Iterator[str]:
    for name, statement in statements(resources):
        if resources[name]["Type"] == "AWS::IAM::Role" or statement["Effect"] == "Deny":
            continue
        conditions = {key: value for test in statement["Condition"].values() for key, value in test.items()}
        if "*" in conditions.get("aws:SourceArn", "*"):
            yield f"{name}: {statement['Sid']} for {conditions.get('aws:SourceArn')}"
        sender = statement["Principal"]["Service"]
        if sender != "cloudfront.amazonaws.com" and "aws:SourceAccount" not in conditions:
            yield f"{name}: {statement['Sid']} for any account"
    for name, permission in of_type(resources, "AWS::Lambda::Permission").items():
        source = permission.get("SourceArn", "")
        if not set(references(source)) & {"Distribution", "Api"} and not EXISTING.fullmatch(source):
            yield f"{name}: {permission.get('SourceArn')}"


def nothing_is_allowed_by_a_wildcard(resources: Json) -> Iterator[str]:
    denied = [
        (name, statement["Action"])
        for name, statement in statements(resources)
        if "lambda:SourceFunctionArn" in statement.get("Condition", {}).get("ArnLike", {})
        and statement["Effect"] == "Deny"
    ]
    for name, statement in statements(resources):
        if statement["Effect"] != "Allow":
            continue
        yield from (f"{name}: {action}" for action in listed(statement["Action"]) if "*" in action)
        # Below a bucket the keys are open, X-Ray has no resources, and some actions are denied to the code.
        # Everything else is named.
        yield from (
            f"{name}: {resource}"
            for resource in listed(statement.get("Resource", []))
            if "*" in resource
            and not OPEN_KEYS.fullmatch(resource)
            and not all(action.startswith("xray:") for action in listed(statement["Action"]))
            and (name, statement["Action"]) not in denied
        )


def every_bucket_is_private_and_encrypted(resources: Json) -> Iterator[str]:
    for name, bucket in of_type(resources, "AWS::S3::Bucket").items():
        blocks = bucket.get("PublicAccessBlockConfiguration", {})
        if sum(map(bool, blocks.values())) != 4:
            yield f"{name}: open to the public"
        if "BucketEncryption" not in bucket:
            yield f"{name}: not encrypted"
        # CloudFront delivers logs by an access list.
        owner = "BucketOwnerPreferred" if name == "CdnLogBucket" else "BucketOwnerEnforced"
        if bucket.get("OwnershipControls", {}).get("Rules") != [{"ObjectOwnership": owner}]:
            yield f"{name}: access lists"
        rules = bucket.get("LifecycleConfiguration", {}).get("Rules", [])
        if not any("AbortIncompleteMultipartUpload" in rule and "Prefix" not in rule for rule in rules):
            yield f"{name}: keeps aborted uploads"


def the_table_matches_the_catalog(resources: Json) -> Iterator[str]:
    for name, table in of_type(resources, "AWS::DynamoDB::Table").items():
        yield from (f"{name}: {key}" for key, value in TABLE.items() if table.get(key) != value)


def buckets_and_queues_refuse_plain_http(resources: Json) -> Iterator[str]:
    refused = {
        resource
        for name, statement in statements(resources)
        if statement["Effect"] == "Deny"
        and statement.get("Principal") == "*"
        and statement.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}
        for resource in listed(statement["Resource"])
    }
    for name in of_type(resources, "AWS::S3::Bucket"):
        if not {f"<{name}.Arn>", f"<{name}.Arn>/*"} <= refused:
            yield name
    for name, queue in of_type(resources, "AWS::SQS::Queue").items():
        if f"<{name}.Arn>" not in refused:
            yield name
        if bool(queue.get("SqsManagedSseEnabled")) == ("KmsMasterKeyId" in queue):
            yield f"{name}: not encrypted"


def functions_with_a_table_are_denied_records_in_the_bucket(resources: Json) -> Iterator[str]:
    if not of_type(resources, "AWS::DynamoDB::Table"):
        return
    records = {f"<ProcessedBucket.Arn>/.image-processor/{keys}" for keys in ("*", "records/*")}
    for name, function in of_type(resources, "AWS::Lambda::Function").items():
        (role,) = references(function["Role"])
        own = [
            statement
            for holder, statement in statements(resources)
            if holder == role and "Resource" in statement
        ]
        denied = [row for row in own if row["Effect"] == "Deny" and row["Resource"] in records]
        allowed = {
            action
            for row in own
            if row["Effect"] == "Allow" and "<ProcessedBucket.Arn>/*" in listed(row["Resource"])
            for action in listed(row["Action"])
        }
        left = allowed - {action for row in denied for action in listed(row["Action"])}
        yield from (f"{name}: {action}" for action in sorted(left))


def the_cdn_never_sees_records(resources: Json) -> Iterator[str]:
    if "Distribution" not in resources:
        return
    hidden = [
        statement
        for name, statement in statements(resources)
        if statement["Effect"] == "Deny"
        and statement.get("Principal") == {"Service": "cloudfront.amazonaws.com"}
        and statement["Resource"] == "<ProcessedBucket.Arn>/.image-processor/*"
    ]
    if not hidden:
        yield "the bucket's policy"
    distribution = resources["Distribution"]["Properties"]["DistributionConfig"]
    if not distribution["DefaultCacheBehavior"].get("FunctionAssociations"):
        yield "no edge function"


def messages_wait_long_enough_and_end_in_the_dead_letter_queue(resources: Json) -> Iterator[str]:
    functions = of_type(resources, "AWS::Lambda::Function")
    queues = of_type(resources, "AWS::SQS::Queue")
    for name, mapping in of_type(resources, "AWS::Lambda::EventSourceMapping").items():
        (queue,), (function,) = references(mapping["EventSourceArn"]), references(mapping["FunctionName"])
        function = function.removesuffix("Aliaslive")
        if queues[queue].get("VisibilityTimeout", 30) < 6 * functions[function]["Timeout"]:
            yield f"{name}: visibility"
        if queue == "IngestQueue":
            yield from _renders_in_time(name, queues[queue], functions[function])
        if mapping.get("FunctionResponseTypes") != ["ReportBatchItemFailures"]:
            yield f"{name}: whole batches come again"
        redrive = queues[queue].get("RedrivePolicy", {})
        dead = next(references(redrive), None)
        if redrive.get("maxReceiveCount", 0) < RECEIVES or dead is None:
            yield f"{name}: no dead-letter queue after {RECEIVES} receives"
        elif queues[dead]["MessageRetentionPeriod"] <= queues[queue].get("MessageRetentionPeriod", 345600):
            yield f"{name}: dead letters are forgotten early"


def _renders_in_time(name: str, queue: Json, function: Json) -> Iterator[str]:
    if queue.get("VisibilityTimeout", 30) <= Settings().lease_seconds:
        yield f"{name}: a dead worker's claim outlives the wait"
    # From 1,769 MB on a second of CPU takes no longer than a second ("Lambda quotas").
    if function["Timeout"] < Settings().limits.cpu_seconds + 30:
        yield f"{name}: the function ends before a slow render is stopped"


def every_function_has_its_own_role_and_log(resources: Json) -> Iterator[str]:
    seen: set[str] = set()
    for name, function in of_type(resources, "AWS::Lambda::Function").items():
        (role,) = references(function["Role"])
        log = function.get("LoggingConfig", {})
        own = next(references(log.get("LogGroup", "")), None)
        if role in seen or seen.add(role):  # type: ignore[func-returns-value]  # a set's own idiom
            yield f"{name}: shares {role}"
        if log.get("LogFormat") != "JSON" or own is None:
            yield f"{name}: unstructured or unbounded log"
        elif "RetentionInDays" not in resources[own]["Properties"]:
            yield f"{name}: {own} is kept for ever"
        written = [
            statement["Resource"]
            for holder, statement in statements(resources)
            if holder == role and "logs:PutLogEvents" in statement["Action"]
        ]
        if written != [f"<{own}.Arn>"]:
            yield f"{name}: may write to {written}"


def every_variable_is_a_setting(resources: Json) -> Iterator[str]:
    settings = {PREFIX + row.name for row in ALL_SETTINGS}
    for name, function in of_type(resources, "AWS::Lambda::Function").items():
        given = {key for key in function["Environment"]["Variables"] if key.startswith(PREFIX)}
        yield from (f"{name}: {key}" for key in given - settings)


def every_caller_reaches_the_alias(resources: Json) -> Iterator[str]:
    for name, permission in of_type(
        resources, "AWS::Lambda::EventSourceMapping", "AWS::Lambda::Permission"
    ).items():
        (target,) = references(permission["FunctionName"])
        if resources[target]["Type"] != "AWS::Lambda::Alias":
            yield f"{name} -> {target}"
    for name, url in of_type(resources, "AWS::Lambda::Url").items():
        if "Aliaslive>" not in str(url.get("Qualifier")):
            yield f"{name} -> {url}"
    for api in of_type(resources, "AWS::ApiGateway::RestApi").values():
        yield from (
            f"the API -> {name}"
            for name in of_type(resources, "AWS::Lambda::Function")
            if f"<{name}.Arn>" in str(api["Body"]["paths"])
        )


def old_versions_are_deleted(resources: Json) -> Iterator[str]:
    for name, row in resources.items():
        if row["Type"] == "AWS::Lambda::Version" and row.get("DeletionPolicy") != "Delete":
            yield f"{name}: {row.get('DeletionPolicy')}"


def functions_are_traced_with_a_grant_or_not(resources: Json) -> Iterator[str]:
    for name, function in of_type(resources, "AWS::Lambda::Function").items():
        (role,) = references(function["Role"])
        rows = [row for holder, row in statements(resources) if holder == role]
        granted = any("xray:PutTraceSegments" in row["Action"] for row in rows)
        if granted != (function["TracingConfig"]["Mode"] == "Active"):
            yield name
    for name, stage in of_type(resources, "AWS::ApiGateway::Stage").items():
        modes = {row["TracingConfig"]["Mode"] for row in of_type(resources, "AWS::Lambda::Function").values()}
        if modes != {"Active" if stage.get("TracingEnabled") else "PassThrough"}:
            yield name


def schedules_invoke_their_function_alone(resources: Json) -> Iterator[str]:
    """And a tick that comes every few minutes comes no sooner than the one before must have ended."""
    for name, schedule in of_type(resources, "AWS::Scheduler::Schedule").items():
        target = schedule["Target"]
        (role,) = references(target["RoleArn"])
        granted = [row for holder, row in statements(resources) if holder == role]
        allowed = [(row["Action"], row["Resource"]) for row in granted if "Resource" in row]
        if allowed != [("lambda:InvokeFunction", target["Arn"])]:
            yield f"{name}: {role} allows {allowed}"
        (alias,) = references(target["Arn"])
        timeout = resources[alias.removesuffix("Aliaslive")]["Properties"]["Timeout"]
        minutes = re.fullmatch(r"rate\((\d+) minutes?\)", schedule["ScheduleExpression"])
        if minutes and 60 * int(minutes[1]) < timeout:
            yield f"{name}: {schedule['ScheduleExpression']} with a timeout of {timeout} s"


def schedules_of_other_accounts_cannot_use_the_role(resources: Json) -> Iterator[str]:
    """ "Confused deputy prevention in EventBridge Scheduler"."""
    for name, role in of_type(resources, "AWS::IAM::Role").items():
        for row in role["AssumeRolePolicyDocument"]["Statement"]:
            condition = row.get("Condition", {}).get("StringEquals", {})
            if row["Principal"] == {"Service": "scheduler.amazonaws.com"} and not condition:
                yield f"{name}: a schedule of any account"


def a_queue_is_read_with_one_kind_of_scaling(resources: Json) -> Iterator[str]:
    for name, mapping in of_type(resources, "AWS::Lambda::EventSourceMapping").items():
        if ("ScalingConfig" in mapping) == ("ProvisionedPollerConfig" in mapping):
            yield f"{name}: both or neither of maximum concurrency and pollers"


def irreplaceable_data_is_retained(resources: Json) -> Iterator[str]:
    for name in RETAINED & resources.keys():
        # Retain would also keep what a failed creation leaves, in the way of the next one.
        policies = [resources[name].get(key) for key in ("DeletionPolicy", "UpdateReplacePolicy")]
        if policies != ["RetainExceptOnCreate", "Retain"]:
            yield f"{name}: {policies}"


RULES: tuple[Rule, ...] = (
    no_reference_is_dangling,
    the_bucket_notifies_once_of_uploads_and_deletions,
    only_known_services_are_trusted,
    a_trusted_service_acts_for_one_resource,
    nothing_is_allowed_by_a_wildcard,
    every_bucket_is_private_and_encrypted,
    encryption.one_key_encrypts_everything_or_nothing,
    encryption.roles_may_use_the_key_as_they_need,
    the_table_matches_the_catalog,
    buckets_and_queues_refuse_plain_http,
    functions_with_a_table_are_denied_records_in_the_bucket,
    the_cdn_never_sees_records,
    messages_wait_long_enough_and_end_in_the_dead_letter_queue,
    every_function_has_its_own_role_and_log,
    every_variable_is_a_setting,
    every_caller_reaches_the_alias,
    old_versions_are_deleted,
    schedules_invoke_their_function_alone,
    schedules_of_other_accounts_cannot_use_the_role,
    a_queue_is_read_with_one_kind_of_scaling,
    edge.the_cdn_may_call_the_function_url,
    edge.lists_declare_their_quantity,
    edge.the_cdn_fails_over_to_the_function,
    edge.the_studio_passes_the_api_on_uncached,
    edge.cache_times_are_in_order,
    edge.errors_are_cached_as_the_function_says,
    edge.one_object_serves_every_encoding,
    edge.a_rate_limit_is_the_web_acl,
    edge.the_cloudfront_function_has_its_key_value_store,
    edge.signatures_reach_the_function_and_not_the_cache_key,
    edge.signing_keys_are_only_in_the_secret,
    edge.every_api_operation_is_authorised,
    edge.errors_of_the_gateway_are_problem_documents,
    edge.models_of_the_api_are_draft_4,
    irreplaceable_data_is_retained,
    alarms.duration_alarms_fire_before_the_timeout,
    alarms.every_alarm_tells_whoever_is_named,
    alarms.alarms_watch_what_exists,
    alarms.every_function_is_in_the_alarms_of_errors_and_throttles,
    alarms.the_table_and_each_index_are_in_the_alarm_of_throttles,
    alarms.an_alarm_has_few_metrics,
    functions_are_traced_with_a_grant_or_not,
)


def broken(resources: Json) -> dict[str, list[str]]:
    """The rules that do not hold, by name, each with what is wrong."""
    found = {rule.__name__: list(rule(resources)) for rule in RULES}
    return {name: wrong for name, wrong in found.items() if wrong}
