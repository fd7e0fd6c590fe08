"""teardown.sh asks, deletes only what can be made again, and originals only if it is told to."""

from __future__ import annotations

import re
from pathlib import Path

import jmespath
import pytest
from linters import DEPLOYMENT
from stubbed_cli import StubbedCli

LISTED = '{"Objects": [{"Key": "a.jpg", "VersionId": "1"}], "Quiet": true}'


@pytest.fixture
def cli(tmp_path: Path) -> StubbedCli:
    """A stack with one object left in each bucket; a deletion of objects empties the bucket."""
    cli = StubbedCli(tmp_path)
    names = {"ProcessedBucket": "processed-1", "UploadBucket": "uploads-1", "CatalogTable": "table-1"}
    cli.answers |= {f"=='{name}'": f"echo {value}" for name, value in names.items()}
    for bucket in ("processed-1", "uploads-1"):
        empty = f'"{tmp_path}/empty-{bucket}"'
        cli.answers[f"list-object-versions --bucket {bucket}"] = f"[ -e {empty} ] || echo '{LISTED}'"
        cli.answers[f"delete-objects --bucket {bucket}"] = f": >{empty}"
    return cli


def test_it_keeps_originals_and_records(cli: StubbedCli) -> None:
    done = cli.run("teardown.sh", "--stack", "images", "--yes")
    assert done.returncode == 0, done.stderr
    assert "kept: the originals in s3://uploads-1" in done.stdout
    assert "kept: the records in table table-1" in done.stdout
    (delete,) = cli.calls("delete-stack")
    assert delete.endswith("--region eu-central-1 --stack-name images")
    assert cli.calls("s3 rm s3://processed-1 --recursive")
    assert cli.calls("uploads-1") == []
    assert cli.calls("delete-table") == []


def test_it_deletes_all_data_with_delete_data(cli: StubbedCli) -> None:
    done = cli.run("teardown.sh", "--yes", "--delete-data")
    assert done.returncode == 0, done.stderr
    deleted = [call.split()[1:5] for call in cli.calls() if " delete-" in call]
    assert deleted == [
        ["s3api", "delete-objects", "--bucket", "processed-1"],
        ["cloudformation", "delete-stack", "--region", "eu-central-1"],
        ["s3api", "delete-objects", "--bucket", "uploads-1"],
        ["s3api", "delete-bucket", "--bucket", "uploads-1"],
        ["dynamodb", "delete-table", "--table-name", "table-1"],
    ]


def test_an_existing_bucket_is_kept(cli: StubbedCli) -> None:
    cli.answers["=='UploadBucket'"] = ":"
    done = cli.run("teardown.sh", "--yes", "--delete-data")
    assert done.returncode == 0, done.stderr
    assert "originals" not in done.stdout
    assert cli.calls("delete-bucket") == []


@pytest.mark.parametrize("answer", ["", "n\n"])
def test_it_asks_for_confirmation(cli: StubbedCli, answer: str) -> None:
    done = cli.run("teardown.sh", "--delete-data", stdin=answer)
    assert done.returncode == 1
    assert "nothing was deleted" in done.stderr
    assert [call for call in cli.calls() if " delete-" in call or " rm " in call] == []


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
    assert "expected the stack to be deleted" in done.stderr
    assert cli.calls("delete-bucket") == []


def test_an_object_that_cannot_be_deleted_is_an_error(cli: StubbedCli) -> None:
    cli.answers["delete-objects --bucket processed-1"] = "echo ERRORS AccessDenied a.jpg"
    done = cli.run("teardown.sh", "--yes")
    assert done.returncode == 1
    assert "expected every object of processed-1 to be deleted, got: ERRORS AccessDenied a.jpg" in done.stderr
    assert cli.calls("delete-stack") == []


def test_a_missing_stack_is_an_error(cli: StubbedCli) -> None:
    cli.answers["=='ProcessedBucket'"] = "exit 254"
    done = cli.run("teardown.sh", "--stack", "other", "--yes")
    assert done.returncode == 1
    assert "expected a stack, got none called other in eu-central-1" in done.stderr


def test_invalid_options_are_errors(cli: StubbedCli) -> None:
    done = cli.run("teardown.sh", "--all", AWS_REGION="")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "expected an option of teardown.sh (see --help), got --all",
        "expected a region for --region, got none",
    ]


@pytest.mark.parametrize(
    ("answer", "objects"),
    [
        ({}, []),
        ({"Versions": [{"Key": "a", "VersionId": "1", "Size": 3}]}, [{"Key": "a", "VersionId": "1"}]),
        ({"DeleteMarkers": [{"Key": "b", "VersionId": "2"}]}, [{"Key": "b", "VersionId": "2"}]),
    ],
)
def test_the_query_for_versions_gives_what_delete_objects_takes(answer: object, objects: object) -> None:
    found = re.search(r"^versions='(.*)'$", (DEPLOYMENT / "teardown.sh").read_text(), re.MULTILINE)
    assert found
    assert jmespath.search(found[1], answer) == {"Objects": objects, "Quiet": True}
