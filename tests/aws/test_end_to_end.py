"""The real template, deployed by the real deploy.sh: from the bucket to the renditions and back."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
from pictures import picture
from PIL import Image
from scenarios import URL_KEY

from image_processor.config.recipe import DEFAULT_RECIPE, parse_recipe
from image_processor.domain.keys import image_id, rendition_prefix
from support.aws_emulation.deployed import Deployed
from support.aws_emulation.stacks import Grant
from support.waiting import wait_for


@pytest.fixture(autouse=True)
def nothing_is_refused(system: Deployed, request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a function asks for is granted, except where a test takes a grant away."""
    known = len(system.stack.aws.decisions())
    yield
    if "grant" not in request.fixturenames:
        refused = [each for each in system.stack.aws.decisions(known) if not each.allowed]
        assert refused == []


@pytest.fixture
def grant(system: Deployed) -> Grant:
    """What process needs last: to write renditions."""
    (found,) = (each for each in system.stack.grants(system.role("Process")) if each.action == "s3:PutObject")
    return found


def declared(key: str) -> set[str]:
    """What the built-in recipe makes of an original."""
    result = parse_recipe(DEFAULT_RECIPE).transformations_for(key)
    return {rendition_prefix(key) + each.name for each in result}


def test_deploy_prints_the_addresses(deployment: str, system: Deployed) -> None:
    assert system.uploads in deployment
    assert system.processed in deployment
    assert f"aws s3 cp photo.jpg s3://{system.uploads}/photo.jpg" in deployment


def test_the_stack_itself_publishes_keys_and_names_to_the_edge(deployment: str, system: Deployed) -> None:
    kid, secret = URL_KEY
    stored = system.edge_store().read()
    assert secret not in deployment
    assert (stored[f"k/{kid}"], stored["n/w=640,fm=jpeg.jpg"]) == (secret, "all")
    assert sum(name.startswith("n/") for name in stored) == 20


@pytest.mark.parametrize("key", ["photo.png", "folder/with space/a+b.png", "ünï/日本 100%.png"])
def test_an_upload_becomes_renditions_and_a_record(system: Deployed, key: str) -> None:
    system.upload(picture(), key)
    record = system.wait_until_processed(key)
    assert set(system.renditions(key)) == declared(key)
    assert record["original_file"] == key
    assert record["processed_file"] in declared(key)
    for each in system.renditions(key):
        rendition = system.rendition(each)
        with Image.open(io.BytesIO(rendition["Body"])) as decoded:
            assert rendition["ContentType"] == decoded.get_format_mimetype()
        assert "max-age" in rendition["CacheControl"]


def test_a_new_version_replaces_every_rendition(system: Deployed) -> None:
    key = system.upload(picture(400, 300))
    first = system.wait_until_processed(key)
    before = {each: system.rendition(each)["ETag"] for each in system.renditions(key)}
    system.upload(picture(300, 400), key)
    wait_for(lambda: system.record(key)["version"] != first["version"], "the second version")
    after = {each: system.rendition(each)["ETag"] for each in system.renditions(key)}
    assert before.keys() == after.keys()
    assert not before.items() & after.items()


def test_a_delete_purges_renditions_and_record(system: Deployed) -> None:
    key, other = system.upload(picture()), system.upload(picture())
    system.wait_until_processed(key)
    system.wait_until_processed(other)
    system.delete(key)
    wait_for(lambda: system.record(key) is None, "the end of the record")
    assert system.renditions(key) == []
    assert set(system.renditions(other)) == declared(other)


def test_a_file_that_is_no_image_is_refused_once_with_a_reason(system: Deployed) -> None:
    key = system.upload(b"<html>no picture</html>")
    wait_for(lambda: system.has_status(key, "refused"), "the refusal")
    assert system.record(key)["reason"] == "not-an-image"
    assert system.renditions(key) == []
    system.wait_until_idle()
    assert system.dead_letters(seconds=1) == []


def test_poison_is_a_dead_letter_after_five_receives_and_a_redrive_processes_it(
    system: Deployed, grant: Grant
) -> None:
    with system.stack.without(grant):
        key = system.upload(picture())
        (letter,) = system.dead_letters()
    assert letter["Records"][0]["s3"]["object"]["key"] == key

    # The last line may come a moment after the letter.
    def tries() -> list[bool] | None:
        found = [line["retry"] for line in system.log_lines("process") if line.get("key") == key]
        return found if len(found) >= 5 else None

    assert wait_for(tries, "five lines about the poison") == [True] * 5
    assert system.renditions(key) == []
    system.send(letter)
    system.wait_until_processed(key)
    assert set(system.renditions(key)) == declared(key)


def test_messages_that_are_no_events_are_ignored_and_logged(system: Deployed) -> None:
    strange = [{"no": "event"}, {"Records": [{"eventSource": "aws:strange"}]}, {"Records": 1}, []]
    for message in strange:
        system.send(message)
    system.wait_until_idle()
    assert system.dead_letters(seconds=1) == []

    def told() -> bool:
        ignored = [line for line in system.log_lines("process") if line.get("message") == "ignored"]
        return len(ignored) >= len(strange)

    assert wait_for(told, "a line about each of them")


def test_a_foreign_buckets_event_is_ignored(system: Deployed) -> None:
    key = f"foreign-{system.upload(picture())}"
    system.send({"Records": [system.event(key, bucket="somebody-elses")]})
    system.wait_until_idle()

    # The queue is empty a moment before the log has all of it.
    def told() -> list[dict[str, Any]]:
        return [line for line in system.log_lines("process") if line.get("key") == key]

    (line,) = wait_for(told, "the line about the foreign bucket")
    assert line["message"] == "ignored"
    assert "somebody-elses" in line["reason"]


def test_logs_hold_only_the_functions_own_lines(system: Deployed) -> None:
    key = system.upload(picture())
    system.wait_until_processed(key)
    system.api("POST", f"/images/{image_id(system.uploads, key)}/reprocess")
    system.delete(key)
    system.wait_until_idle()
    for function in ("process", "api"):
        assert {line.get("logger") for line in system.log_lines(function)} == {None}
