"""The template's optional parts, off and on, in stacks beside the one of the other tests."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from pictures import picture
from privilege import fails, unneeded_grants
from scenarios import (
    INVALIDATE_SCENARIOS,
    SCENARIOS,
    Scenario,
    check,
    delete_orphan,
    make,
    overwrite,
    overwrite_by_api,
)

from image_processor.domain.keys import rendition_prefix
from support.aws_emulation.deployed import ARCHITECTURE, Cli, Deployed
from support.aws_emulation.server import EmulatedAws
from support.aws_emulation.stacks import deploy
from support.waiting import wait_for

RECIPE = """
[presets.one]
widths = [48]
formats = ["webp"]
[[rules]]
match = "**"
presets = ["one"]
"""


@pytest.fixture(scope="session")
def bare(aws: EmulatedAws, template: str) -> Deployed:
    """Nothing but buckets, queue and the process function."""
    off = dict.fromkeys(("EnableTable", "EnableApi", "EnableCdn", "EnableDashboard"), "false")
    return Deployed(
        deploy(aws, "bare", template, {"Architecture": ARCHITECTURE, "ReconcileSchedule": "", **off})
    )


@pytest.fixture(scope="session")
def joined(aws: EmulatedAws, template: str) -> Deployed:
    """A bucket that was there before, a recipe in another one, an API for key holders, snapshots.

    Such a bucket sends no test event: at first, nobody has started the functions.
    """
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="there-before")
    s3.put_bucket_notification_configuration(
        Bucket="there-before", NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    s3.create_bucket(Bucket="recipes")
    s3.put_object(Bucket="recipes", Key="ours/recipe.toml", Body=RECIPE.encode())
    parameters = {
        "Architecture": ARCHITECTURE,
        "ExistingUploadBucket": "there-before",
        "RecipeBucket": "recipes",
        "Recipe": "ours/recipe.toml",
        "ApiAuthorization": "API_KEY",
        "EnableSnapStart": "true",
        "AlarmEmail": "somebody@example.org",
    }
    return Deployed(deploy(aws, "joined", template, parameters))


@pytest.fixture(scope="session")
def telling(aws: EmulatedAws, template: str) -> Deployed:
    """With a bus for events, whose events a queue receives, and invalidations."""
    aws.client("events").create_event_bus(Name="ours")
    parameters = {
        "Architecture": ARCHITECTURE,
        "EventBus": "ours",
        "EnablePurge": "true",
        "EnableDashboard": "false",
    }
    return Deployed(deploy(aws, "telling", template, parameters))


@pytest.mark.parametrize(
    ("role", "scenario", "action"),
    [
        ("Process", overwrite, "events:PutEvents"),
        ("Process", overwrite, "sqs:SendMessage"),
        ("Api", overwrite_by_api, "events:PutEvents"),
        ("Api", overwrite_by_api, "sqs:SendMessage"),
        ("Reconcile", delete_orphan, "sqs:SendMessage"),
    ],
)
def test_events_and_invalidations_need_their_own_grants(
    telling: Deployed, role: str, scenario: Scenario, action: str
) -> None:
    queue = telling.stack.resources["InvalidationQueue"].rpartition("/")[2]
    part = queue if action == "sqs:SendMessage" else ""
    grants = telling.stack.grants(telling.role(role))
    (grant,) = (each for each in grants if each.action == action and part in each.resource)
    with telling.without_notifications():
        assert not fails(telling, scenario)
        with telling.stack.without(grant):
            assert fails(telling, scenario)


def test_an_overwrite_is_one_invalidation(telling: Deployed) -> None:
    telling.wait_until_idle()
    telling.complete_invalidations()
    before = telling.invalidations()
    key = telling.upload(picture(40, 30), "with space/a+b.png")
    telling.wait_until_processed(key)
    telling.upload(picture(30, 40), key)
    wait_for(lambda: telling.invalidations() != before, "the invalidation")
    telling.wait_until_idle()
    paths = ["/with%20space/a%2Bb.png*", "/with%20space/a+b.png*"]
    assert telling.invalidations() == [*before, paths]


def test_invalidations_wait_while_cloudfront_runs_too_many(telling: Deployed) -> None:
    def waiting() -> int:
        return sum(line.get("retry", False) for line in telling.log_lines("invalidate"))

    telling.wait_until_idle()
    telling.complete_invalidations()
    telling.invalidate([f"/busy/{number}/*" for number in range(15)])
    before, known = telling.invalidations(), waiting()
    for key in ("first.png", "second.png"):
        telling.send({"id": key, "key": key}, "InvalidateMapping")
    wait_for(lambda: waiting() > known, "the refusal")
    assert telling.invalidations() == before
    telling.complete_invalidations()
    telling.wait_until_idle()
    new = telling.invalidations()[len(before) :]
    assert {path for paths in new for path in paths} == {"/first.png*", "/second.png*"}
    dead = telling.sqs.receive_message(QueueUrl=telling.stack.resources["InvalidationDeadLetterQueue"])
    assert "Messages" not in dead


def test_each_grant_of_invalidate_is_needed(telling: Deployed) -> None:
    assert unneeded_grants(telling, "Invalidate", INVALIDATE_SCENARIOS) == set()


def test_an_upload_is_told_on_the_bus(telling: Deployed) -> None:
    queue = queue_behind(telling, "ours")
    key = telling.upload(picture())
    telling.wait_until_processed(key)
    event = received_event(telling, queue, key)
    assert (event["source"], event["detail-type"]) == ("image-processor", "image.processed")
    assert event["detail"]["data"]["renditions"][0]["url"].startswith("https://")


def queue_behind(system: Deployed, bus: str) -> str:
    """The URL of a queue that receives all events of the bus."""
    sqs, events = system.stack.aws.client("sqs"), system.stack.aws.client("events")
    url: str = sqs.create_queue(QueueName="heard")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    rule = events.put_rule(
        Name="all", EventBusName=bus, EventPattern=json.dumps({"source": ["image-processor"]})
    )["RuleArn"]
    policy = {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
        },
    }
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
    events.put_targets(Rule="all", EventBusName=bus, Targets=[{"Id": "heard", "Arn": arn}])
    return url


def received_event(system: Deployed, queue: str, key: str) -> Any:
    found: list[Any] = []

    def poll() -> bool:
        sqs = system.stack.aws.client("sqs")
        for message in sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1).get("Messages", ()):
            event = json.loads(message["Body"])
            if event["detail"]["data"]["key"] == key:
                found.append(event)
        return bool(found)

    wait_for(poll, "the event")
    return found[0]


def ask_for_health(system: Deployed) -> None:
    check(system.api("GET", "/health", headers={"x-api-key": api_key(system)}).status_code == 200)


def api_key(system: Deployed) -> str:
    client = system.stack.aws.client("apigateway")
    key: str = client.get_api_key(apiKey=system.outputs["ApiKeyId"], includeValue=True)["value"]
    return key


def deliver_none(system: Deployed) -> None:
    check(system.deliver("/never-there.png/w=48,fm=webp.webp").status_code == 404)


def publish_names(system: Deployed) -> None:
    check("changed" in system.invoke("publish", {}))


@pytest.mark.parametrize(
    ("role", "scenario"),
    [("Process", make), ("Api", ask_for_health), ("Deliver", deliver_none), ("Publish", publish_names)],
)
def test_a_recipe_in_a_bucket_needs_its_own_grant(joined: Deployed, role: str, scenario: Scenario) -> None:
    grants = joined.stack.grants(joined.role(role))
    (grant,) = (each for each in grants if each.resource.endswith(":::recipes/ours/recipe.toml"))
    assert grant.action == "s3:GetObject"
    with joined.without_notifications():
        with joined.stack.without(grant):
            assert fails(joined, scenario)
        assert not fails(joined, scenario)


def test_without_optional_parts_uploads_are_processed_and_deleted(bare: Deployed) -> None:
    assert {"Api", "ApiFunction", "DeliverFunction", "CatalogTable"}.isdisjoint(bare.stack.resources)
    key = bare.upload(picture())
    wait_for(lambda: bare.renditions(key), "the renditions")
    bare.wait_until_idle()
    bare.delete(key)
    wait_for(lambda: bare.renditions(key) == [], "the purge")
    bare.wait_until_idle()
    assert bare.dead_letters(seconds=1) == []


def test_without_a_table_records_are_objects_and_need_no_more_grants(bare: Deployed) -> None:
    key = bare.upload(picture())
    wait_for(lambda: bare.renditions(key), "the renditions")
    bare.wait_until_idle()
    assert [each for each in bare.everything_processed() if each.startswith(".image-processor/")]
    assert unneeded_grants(bare, "Process", SCENARIOS["Process"]) == set()


@pytest.mark.parametrize("key", ["plain.png", "with space/a+b 100%.png"])
def test_an_existing_bucket_is_connected_by_eventbridge(joined: Deployed, key: str) -> None:
    joined.upload(picture(), key)
    joined.wait_until_processed(key)
    assert joined.renditions(key) == [rendition_prefix(key) + "w=48,fm=webp.webp"]
    joined.delete(key)
    wait_for(lambda: joined.record(key) is None, "the end of the record")
    assert joined.renditions(key) == []


def test_with_api_key_only_its_holders_may_call(joined: Deployed) -> None:
    assert joined.api("GET", "/health").status_code == 403
    ask_for_health(joined)


def test_published_versions_deliver_too(joined: Deployed) -> None:
    key = joined.upload(picture())
    joined.wait_until_processed(key)
    (only,) = joined.renditions(key)
    assert joined.deliver("/" + only).content == joined.rendition(only)["Body"]


def test_teardown_deletes_everything_but_originals(aws: EmulatedAws, telling: Deployed, cli: Cli) -> None:
    telling.wait_until_processed(telling.upload(picture()))
    originals = telling.s3.list_objects_v2(Bucket=telling.uploads)["KeyCount"]
    cli("teardown.sh", "--stack", "telling", "--yes")
    assert telling.s3.list_objects_v2(Bucket=telling.uploads)["KeyCount"] == originals > 0
    buckets = {bucket["Name"] for bucket in telling.s3.list_buckets()["Buckets"]}
    assert telling.processed not in buckets
    with pytest.raises(ClientError, match="does not exist"):
        aws.client("cloudformation").describe_stacks(StackName="telling")
