"""The template's optional parts, off and on, in stacks beside the one of the other tests."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError
from pictures import picture
from privilege import fails, unneeded_grants
from scenarios import SCENARIOS, Scenario, check, make

from image_processor.domain.keys import rendition_prefix
from support.aws_emulation.deployed import ARCHITECTURE, STACK, Cli, Deployed
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
def template(aws: EmulatedAws, system: Deployed) -> str:
    """The template with the packages that deploy.sh has uploaded."""
    assert system
    body = aws.client("cloudformation").get_template(StackName=STACK)["TemplateBody"]
    return body if isinstance(body, str) else json.dumps(body)


@pytest.fixture(scope="session")
def bare(aws: EmulatedAws, template: str) -> Deployed:
    """Nothing but buckets, queue and the process function."""
    off = dict.fromkeys(("EnableTable", "EnableApi", "EnableCdn", "EnableDashboard"), "false")
    return Deployed(deploy(aws, "bare", template, {"Architecture": ARCHITECTURE, **off}))


@pytest.fixture(scope="session")
def joined(aws: EmulatedAws, template: str) -> Deployed:
    """A bucket that was there before, a recipe in another one, an API for key holders, snapshots."""
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
def elsewhere(aws: EmulatedAws, template: str) -> Deployed:
    """Functions whose recipe is in a bucket, and that nobody has started yet: a bucket that was there
    before sends no test event."""
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="there-before-too")
    s3.create_bucket(Bucket="more-recipes")
    s3.put_object(Bucket="more-recipes", Key="recipe.toml", Body=RECIPE.encode())
    parameters = {
        "Architecture": ARCHITECTURE,
        "ExistingUploadBucket": "there-before-too",
        "RecipeBucket": "more-recipes",
        "Recipe": "recipe.toml",
        "EnableTable": "false",
        "EnableDashboard": "false",
    }
    return Deployed(deploy(aws, "elsewhere", template, parameters))


def ask_for_health(system: Deployed) -> None:
    check(system.api("GET", "/health").status_code == 200)


def deliver_none(system: Deployed) -> None:
    check(system.deliver("/never-there.png/w=48,fm=webp.webp").status_code == 404)


@pytest.mark.parametrize(
    ("role", "scenario"), [("Process", make), ("Api", ask_for_health), ("Deliver", deliver_none)]
)
def test_a_recipe_in_a_bucket_needs_its_own_grant(elsewhere: Deployed, role: str, scenario: Scenario) -> None:
    grants = elsewhere.stack.grants(elsewhere.role(role))
    (grant,) = (each for each in grants if each.resource.endswith(":::more-recipes/recipe.toml"))
    assert grant.action == "s3:GetObject"
    with elsewhere.without_notifications():
        with elsewhere.stack.without(grant):
            assert fails(elsewhere, scenario)
        assert not fails(elsewhere, scenario)


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
    key = joined.stack.aws.client("apigateway").get_api_key(
        apiKey=joined.outputs["ApiKeyId"], includeValue=True
    )["value"]
    assert joined.api("GET", "/health", headers={"x-api-key": key}).status_code == 200


def test_published_versions_deliver_too(joined: Deployed) -> None:
    key = joined.upload(picture())
    joined.wait_until_processed(key)
    (only,) = joined.renditions(key)
    assert joined.deliver("/" + only).content == joined.rendition(only)["Body"]


def test_teardown_deletes_everything_but_originals(aws: EmulatedAws, template: str, cli: Cli) -> None:
    off = dict.fromkeys(("EnableApi", "EnableCdn", "EnableDashboard"), "false")
    short = Deployed(deploy(aws, "short-lived", template, {"Architecture": ARCHITECTURE, **off}))
    key = short.upload(picture())
    short.wait_until_processed(key)
    cli("teardown.sh", "--stack", "short-lived", "--yes")
    assert short.s3.list_objects_v2(Bucket=short.uploads)["KeyCount"] == 1
    buckets = {bucket["Name"] for bucket in short.s3.list_buckets()["Buckets"]}
    assert short.processed not in buckets
    with pytest.raises(ClientError, match="does not exist"):
        aws.client("cloudformation").describe_stacks(StackName="short-lived")
