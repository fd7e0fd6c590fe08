"""Lost events and a changed recipe, healed in the cloud: by the schedule, and by the operator's command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pictures import picture

from image_processor.aws.credentials import Credentials
from image_processor.bootstrap.aws import AwsAccess, build_processor, open_aws_stores
from image_processor.config.recipe import DEFAULT_RECIPE, parse_recipe
from image_processor.config.settings import Settings, from_environment
from image_processor.domain.keys import rendition_prefix
from image_processor.domain.models import OutcomeStatus, Upload
from image_processor.standalone.bucket_mark import KEY, BucketMark
from support.aws_emulation.deployed import Deployed
from support.aws_emulation.server import ACCOUNT, REGION
from support.waiting import wait_for

OLD_RECIPE = '[presets.old]\nwidth = 16\nformats = ["png"]\n[[rules]]\nmatch = "**"\npresets = ["old"]'


def declared(key: str) -> set[str]:
    """What the built-in recipe makes of an original."""
    result = parse_recipe(DEFAULT_RECIPE).transformations_for(key)
    return {rendition_prefix(key) + item.name for item in result}


def test_lost_events_are_healed_by_the_schedule_alone(system: Deployed) -> None:
    changed, deleted = (system.upload(picture(40, 30), f"healed/{number}.png") for number in range(2))
    for key in (changed, deleted):
        system.wait_until_processed(key)
    version = system.record(changed)["version"]
    with system.without_notifications():
        new = [system.upload(picture(40, 30), f"healed/new {number}+.png") for number in range(5)]
        system.upload(picture(30, 40), changed)
        system.delete(deleted)
    answer = system.reconcile()
    assert {"missing", "changed", "orphaned"} <= answer["found"].keys()
    system.wait_until_idle()
    assert all(set(system.renditions(key)) == declared(key) for key in new)
    assert system.record(changed)["version"] != version
    assert (system.record(deleted), system.renditions(deleted)) == (None, [])
    assert system.reconcile()["enqueued"] == 0


def test_between_two_runs_a_tick_does_nothing(system: Deployed) -> None:
    system.reconcile()
    with system.without_notifications():
        key = system.upload(picture(40, 30))
    assert system.tick("ReconcileContinue") == {"status": "idle"}
    assert system.record(key) is None


def test_a_changed_recipe_is_applied_by_the_functions_and_not_by_the_command(
    system: Deployed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The originals were processed under another recipe, by this test instead of an earlier stack."""
    with system.without_notifications():
        keys = [system.upload(picture(40, 30), f"before/{number}.png") for number in range(4)]
    with monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", system.stack.aws.endpoint)
        process_with_old_recipe(system, keys)
    assert [system.renditions(key) for key in keys] == [[f"{key}/w=16,fm=png.png"] for key in keys]
    ended = run_command(system, tmp_path, "reconcile", "--stack", system.stack.name, "--per-second", "100")
    assert ended.returncode == 0, ended.stderr
    assert {f"stale: {key}" for key in keys} <= set(ended.stdout.splitlines())
    wait_for(lambda: all(set(system.renditions(key)) == declared(key) for key in keys), "the new renditions")

    def processed_in_lambda() -> set[str]:
        lines = system.log_lines("process")
        return {line["key"] for line in lines if line.get("message") == "processed"}

    wait_for(lambda: set(keys) <= processed_in_lambda(), "the lines of the function")


def test_doctor_and_dead_letters_read_the_stack(system: Deployed, tmp_path: Path) -> None:
    ended = run_command(system, tmp_path, "doctor", "--stack", system.stack.name)
    assert "mark in the buckets: none\n" in ended.stdout
    assert f"IMAGE_PROCESSOR_UPLOAD_BUCKET={system.uploads}\n" in ended.stdout
    assert f"IMAGE_PROCESSOR_TABLE={system.outputs['TableName']}\n" in ended.stdout
    listed = run_command(system, tmp_path, "dead-letters", "list", "--stack", system.stack.name)
    assert (listed.returncode, listed.stdout) == (0, "No dead letters.\n"), listed.stderr


def test_doctor_says_which_server_of_one_machine_works_in_the_buckets_of_a_stack(
    system: Deployed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told() -> str:
        ended = run_command(system, tmp_path, "doctor", "--stack", system.stack.name, "--json")
        assert ended.returncode == 0, ended.stderr
        mark: str = json.loads(ended.stdout)["bucket_mark"]
        return mark

    settings = settings_of(system)
    monkeypatch.setenv("AWS_ENDPOINT_URL", system.stack.aws.endpoint)
    store = open_aws_stores(settings, AwsAccess(REGION, lambda: Credentials(ACCOUNT, "test"))).processed
    alone = BucketMark(store, "a file", "desk:1", is_shared=False)
    alone.renew()
    assert "of the server desk:1, written at" in told()
    assert "with another catalog (a file): servers with a catalog file each must not share buckets" in told()
    store.delete(KEY)
    BucketMark(store, f"table {settings.table}", "rack:2", is_shared=True).renew()
    assert "another catalog" not in told()
    store.delete(KEY)
    assert told() == "none"


def test_a_manifest_is_written_for_batch_operations(system: Deployed, tmp_path: Path) -> None:
    key = system.upload(picture(40, 30), "listed/a b.png")
    ended = run_command(system, tmp_path, "backfill", "manifest", "--stack", system.stack.name)
    assert ended.returncode == 0, ended.stderr
    location = ended.stdout.splitlines()[0].split(" in ")[1].removeprefix(f"s3://{system.processed}/")
    lines = system.rendition(location)["Body"].decode().splitlines()
    assert f"{system.uploads},listed/a%20b.png" in lines
    system.wait_until_processed(key)


def settings_of(system: Deployed) -> Settings:
    return from_environment(
        {
            "IMAGE_PROCESSOR_UPLOAD_BUCKET": system.uploads,
            "IMAGE_PROCESSOR_PROCESSED_BUCKET": system.processed,
            "IMAGE_PROCESSOR_TABLE": system.outputs["TableName"],
        }
    )


def process_with_old_recipe(system: Deployed, keys: list[str]) -> None:
    settings = settings_of(system)
    access = AwsAccess(REGION, lambda: Credentials(ACCOUNT, "test"))
    processor = build_processor(settings, parse_recipe(OLD_RECIPE), open_aws_stores(settings, access))
    outcomes = [processor.process(Upload(system.uploads, key)) for key in keys]
    assert {outcome.status for outcome in outcomes} == {OutcomeStatus.PROCESSED}


def run_command(system: Deployed, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line, as an operator of the account runs it."""
    environment = {
        "PATH": os.environ["PATH"],
        "AWS_ENDPOINT_URL": system.stack.aws.endpoint,
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": ACCOUNT,
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    command = [sys.executable, "-m", "image_processor", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
