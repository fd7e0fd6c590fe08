"""teardown.sh checks, asks, and deletes only what can be made again, and originals only on request."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from stubbed_cli import StubbedCli, missing_stack

RESOURCES = {
    "ProcessedBucket": "processed-1",
    "UploadBucket": "uploads-1",
    "CatalogTable": "table-1",
    "ProcessMapping": "mapping-1",
}
VERSIONS = {
    "Versions": [{"Key": "a.jpg", "VersionId": "1", "Size": 3}],
    "DeleteMarkers": [{"Key": "b.jpg", "VersionId": "2"}],
}
# Calls that change something.
CHANGES = (" delete-", " rm ", " update-")


@pytest.fixture
def cli(tmp_path: Path) -> StubbedCli:
    """A stack with one object left in each bucket; a deletion of objects empties the bucket."""
    cli = StubbedCli(tmp_path)
    cli.has_stack()
    owns(cli, **RESOURCES)
    cli.answer("get-event-source-mapping", {"State": "Disabled"})
    cli.answer("describe-table", {"Table": {"DeletionProtectionEnabled": False}})
    for bucket in ("processed-1", "uploads-1"):
        empty = tmp_path / f"empty-{bucket}"
        cli.answers[f"list-object-versions --bucket {bucket}"] = f'[ -e "{empty}" ] || {cli.prints(VERSIONS)}'
        cli.answers[f"delete-objects --bucket {bucket}"] = f'cat "${{6#file://}}" >"{empty}"'
    return cli


def owns(cli: StubbedCli, **resources: str) -> None:
    rows = [
        {"LogicalResourceId": name, "PhysicalResourceId": physical, "ResourceStatus": "CREATE_COMPLETE"}
        for name, physical in resources.items()
    ]
    cli.answer("list-stack-resources", {"StackResourceSummaries": rows})


def changed(cli: StubbedCli) -> list[str]:
    """The calls that changed something, in order, each as operation and target."""
    return [
        " ".join(call.split()[2:5:2] if " s3 rm" not in call else call.split()[2:4])
        for call in cli.calls()
        if any(piece in call for piece in CHANGES)
    ]


def test_it_keeps_originals_and_records(cli: StubbedCli) -> None:
    done = cli.run("teardown.sh", "--stack", "images", "--yes")
    assert done.returncode == 0, done.stderr
    assert "kept: the originals in s3://uploads-1" in done.stdout
    assert "kept: the records in table table-1" in done.stdout
    (delete,) = cli.calls("delete-stack")
    assert "--stack-name images --region eu-central-1" in delete
    assert cli.calls("s3 rm s3://processed-1 --recursive")
    assert cli.calls("uploads-1") == []
    assert cli.calls("delete-table") == []


def test_it_stops_processing_before_it_empties_and_empties_before_it_deletes(cli: StubbedCli) -> None:
    assert cli.run("teardown.sh", "--yes").returncode == 0
    assert changed(cli) == [
        "update-event-source-mapping mapping-1",
        "rm s3://processed-1",
        "delete-objects processed-1",
        "delete-stack image-processor",
    ]


def test_the_studios_page_is_deleted_with_the_stack(cli: StubbedCli) -> None:
    owns(cli, **RESOURCES, StudioBucket="studio-1")
    cli.answer("list-object-versions --bucket studio-1", {})
    assert cli.run("teardown.sh", "--yes").returncode == 0
    assert changed(cli)[-2:] == ["rm s3://studio-1", "delete-stack image-processor"]


def test_it_deletes_all_data_with_delete_data(cli: StubbedCli, tmp_path: Path) -> None:
    done = cli.run("teardown.sh", "--yes", "--delete-data")
    assert done.returncode == 0, done.stderr
    assert changed(cli)[-5:] == [
        "delete-stack image-processor",
        "rm s3://uploads-1",
        "delete-objects uploads-1",
        "delete-bucket uploads-1",
        "delete-table table-1",
    ]
    for bucket in ("processed-1", "uploads-1"):
        assert json.loads((tmp_path / f"empty-{bucket}").read_text()) == {
            "Objects": [{"Key": "a.jpg", "VersionId": "1"}, {"Key": "b.jpg", "VersionId": "2"}],
            "Quiet": True,
        }


@pytest.mark.parametrize(
    ("protected", "message"),
    [
        (
            "stack",
            "expected termination protection to be off for stack images, got on: turn it off with aws ",
        ),
        ("table", "expected deletion protection to be off for table table-1, got on: turn it off with aws "),
        ("change", "expected no change of stack images to be under way, got UPDATE_IN_PROGRESS"),
        ("unknown", "expected to read what protects stack images, got AccessDenied: no"),
    ],
)
def test_what_is_protected_is_reported_before_anything_changes(
    cli: StubbedCli, protected: str, message: str
) -> None:
    if protected == "stack":
        cli.has_stack(EnableTerminationProtection=True)
    if protected == "table":
        cli.answer("describe-table", {"Table": {"DeletionProtectionEnabled": True}})
    if protected == "change":
        cli.has_stack(status="UPDATE_IN_PROGRESS")
    if protected == "unknown":
        cli.fail("describe-table", "AccessDenied", "no")
    done = cli.run("teardown.sh", "--stack", "images", "--yes", "--delete-data")
    assert done.returncode == 2
    assert message in done.stderr
    assert changed(cli) == []


def test_nothing_is_emptied_while_messages_may_still_be_processed(cli: StubbedCli) -> None:
    cli.fail("update-event-source-mapping", "AccessDenied", "no")
    done = cli.run("teardown.sh", "--yes")
    assert done.returncode == 1
    assert "expected the deletion of stack image-processor to succeed, got AccessDenied: no" in done.stderr
    assert changed(cli) == ["update-event-source-mapping mapping-1"]


def test_an_existing_bucket_is_kept(cli: StubbedCli) -> None:
    owns(cli, **{name: RESOURCES[name] for name in RESOURCES if name != "UploadBucket"})
    done = cli.run("teardown.sh", "--yes", "--delete-data")
    assert done.returncode == 0, done.stderr
    assert "originals" not in done.stdout
    assert cli.calls("delete-bucket") == []


@pytest.mark.parametrize("answer", ["", "n\n"])
def test_it_asks_for_confirmation(cli: StubbedCli, answer: str) -> None:
    done = cli.run("teardown.sh", "--delete-data", stdin=answer)
    assert done.returncode == 1
    assert "nothing was deleted" in done.stderr
    assert changed(cli) == []


def test_a_rendition_written_meanwhile_is_deleted_too(cli: StubbedCli, tmp_path: Path) -> None:
    once = tmp_path / "once"
    cli.answers["wait stack-delete-complete"] = f'[ -e "{once}" ] || {{ : >"{once}"; exit 255; }}'
    done = cli.run("teardown.sh", "--yes")
    assert done.returncode == 0, done.stderr
    assert len(cli.calls("s3 rm")) == len(cli.calls("delete-stack")) == 2


def test_a_failed_stack_deletion_is_an_error(cli: StubbedCli) -> None:
    cli.answers["wait stack-delete-complete"] = "exit 255"
    done = cli.run("teardown.sh", "--yes", "--delete-data")
    assert done.returncode == 1
    assert "expected stack image-processor to be deleted, got a failure" in done.stderr
    assert "aws lambda update-event-source-mapping --enabled --uuid mapping-1" in done.stderr
    assert cli.calls("delete-bucket") == []


def test_an_object_that_cannot_be_deleted_is_an_error(cli: StubbedCli) -> None:
    cli.answers["delete-objects --bucket processed-1"] = (
        """echo '{"Errors": [{"Key": "a.jpg", "Message": "Denied"}]}'"""
    )
    done = cli.run("teardown.sh", "--yes")
    assert done.returncode == 1
    assert "expected every object of processed-1 to be deleted, got: a.jpg: Denied" in done.stderr
    assert cli.calls("delete-stack") == []


def test_a_missing_stack_is_an_error(cli: StubbedCli) -> None:
    cli.answers["list-stack-resources"] = missing_stack("other")
    done = cli.run("teardown.sh", "--stack", "other", "--yes")
    assert done.returncode == 1
    assert "expected a stack, got none called other in eu-central-1" in done.stderr


def test_a_failed_look_up_is_not_a_missing_stack(cli: StubbedCli) -> None:
    cli.fail("list-stack-resources", "Throttling", "Rate exceeded")
    done = cli.run("teardown.sh", "--yes")
    assert done.returncode == 1
    assert "got Throttling: Rate exceeded" in done.stderr


def test_invalid_options_are_errors(cli: StubbedCli) -> None:
    done = cli.run("teardown.sh", "--all", AWS_REGION="")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "expected an option of teardown.sh (see --help), got --all",
        "expected a region such as eu-central-1 for --region, got ''",
    ]
