"""Deployment: what teardown.sh does. Deletes the stack, and on request its data.

It checks that everything may be deleted, asks, and only then acts: it disables the queue's event source
mapping, so that nothing is processed any more, empties the processed bucket, and deletes the stack.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass

import stack as stacks
from aws_cli import Aws, AwsError, Json, find_region
from console import Errors, Parser, Stopped, confirm, detail, ended, say
from parameters import REGION

POLL_SECONDS = 3
DISABLE_SECONDS = 120
BATCH = 500


_OWNED = ("ProcessedBucket", "UploadBucket", "CatalogTable", "ProcessMapping", "StudioBucket")


@dataclass(frozen=True, slots=True)
class Owned:
    """Physical names of what the stack owns, empty where it owns none, as with an existing upload bucket."""

    processed: str
    uploads: str
    table: str
    mapping: str
    studio: str


def teardown(arguments: Sequence[str] | None) -> None:
    """The whole flow. Raises Rejected or Stopped."""
    parser = Parser(prog="deployment/teardown.sh", description="Delete the stack.", allow_abbrev=False)
    add = parser.add_argument
    add("--stack", default="image-processor", metavar="NAME", help="stack name (%(default)s)")
    add("--region", metavar="REGION", help="AWS region (AWS_REGION, or that of `aws configure`)")
    add(
        "--delete-data",
        action="store_true",
        help="also delete the originals, with all versions, and the records",
    )
    add("--yes", action="store_true", help="do not ask for confirmation")
    options, rest = parser.parse_known_args(arguments)
    aws = _aws(options.region, rest)
    account = _account(aws)
    owned = _owned(aws, options.stack)
    _check_protection(aws, options.stack, owned, delete_data=options.delete_data)
    _tell(aws, account, options.stack, owned, delete_data=options.delete_data)
    if not (options.yes or confirm("Continue?")):
        raise Stopped("nothing was deleted")
    try:
        _delete(aws, options.stack, owned, delete_data=options.delete_data)
    except AwsError as error:
        raise Stopped(f"expected the deletion of stack {options.stack} to succeed, got {error}") from None
    say("done")


def _aws(region: str | None, unknown: Sequence[str]) -> Aws:
    errors = Errors()
    errors.add(*(f"expected an option of teardown.sh (see --help), got {text}" for text in unknown))
    if not shutil.which("aws"):
        errors.add("expected the AWS CLI (aws) on the PATH, got none: install it, or run pip install awscli")
        errors.stop()
    region = region or find_region()
    if not REGION.fullmatch(region):
        errors.add(f"expected a region such as eu-central-1 for --region, got {region!r}")
    errors.stop()
    return Aws(region)


def _account(aws: Aws) -> str:
    try:
        return str(aws("sts", "get-caller-identity")["Account"])
    except AwsError as error:
        raise Stopped(
            f"expected working AWS credentials (aws configure, or AWS_PROFILE), got {error}"
        ) from None


# ---------------------------------------------------------------- what may be deleted
def _owned(aws: Aws, name: str) -> Owned:
    """From the stack's resources, not its outputs, which also name an existing bucket."""
    try:
        rows = aws("cloudformation", "list-stack-resources", "--stack-name", name)["StackResourceSummaries"]
    except AwsError as error:
        if stacks.is_missing(error):
            raise Stopped(f"expected a stack, got none called {name} in {aws.region}") from None
        raise Stopped(f"expected the resources of stack {name}, got {error}") from None
    found = {
        row["LogicalResourceId"]: row.get("PhysicalResourceId", "")
        for row in rows
        if row.get("ResourceStatus") != "DELETE_COMPLETE"
    }
    return Owned(*(found.get(key, "") for key in _OWNED))


def _check_protection(aws: Aws, name: str, owned: Owned, *, delete_data: bool) -> None:
    errors = Errors()
    try:
        stack = stacks.find(aws, name)
        if stack and stack.protected:
            errors.add(
                f"expected termination protection to be off for stack {name}, got on: turn it off with aws "
                f"cloudformation update-termination-protection --no-enable-termination-protection "
                f"--stack-name {name} --region {aws.region}"
            )
        if stack and stack.is_changing:
            errors.add(
                f"expected no change of stack {name} to be under way, got {stack.status}: try again later"
            )
        if delete_data and owned.table and _is_protected(aws, owned.table):
            errors.add(
                f"expected deletion protection to be off for table {owned.table}, got on: turn it off with "
                f"aws dynamodb update-table --no-deletion-protection-enabled --table-name {owned.table} "
                f"--region {aws.region}"
            )
    except AwsError as error:
        errors.add(f"expected to read what protects stack {name}, got {error}")
    errors.stop()


def _is_protected(aws: Aws, table: str) -> bool:
    return bool(
        aws("dynamodb", "describe-table", "--table-name", table)["Table"].get("DeletionProtectionEnabled")
    )


def _tell(aws: Aws, account: str, name: str, owned: Owned, *, delete_data: bool) -> None:
    say(f"stack {name} in {aws.region}, account {account}")
    detail(f"deleted: the stack, and every rendition in s3://{owned.processed}")
    fate = "deleted" if delete_data else "kept"
    if owned.uploads:
        detail(f"{fate}: the originals in s3://{owned.uploads}")
    if owned.table:
        detail(f"{fate}: the records in table {owned.table}")


# ---------------------------------------------------------------- deletion
def _delete(aws: Aws, name: str, owned: Owned, *, delete_data: bool) -> None:
    if owned.mapping:
        say("stopping the queue's event source mapping")
        _disable(aws, owned.mapping)
    say("deleting the stack")
    # A request may still make deliver write a rendition; then the deletion fails and is tried once more.
    emptied = tuple(bucket for bucket in (owned.processed, owned.studio) if bucket)
    if not (_delete_stack(aws, name, emptied) or _delete_stack(aws, name, emptied)):
        raise Stopped(
            f"expected stack {name} to be deleted, got a failure: see its events in CloudFormation. "
            "To process uploads again, run aws lambda update-event-source-mapping --enabled "
            f"--uuid {owned.mapping} --region {aws.region}"
        )
    if delete_data and owned.uploads:
        say(f"deleting the originals in s3://{owned.uploads}")
        _empty(aws, owned.uploads)
        aws("s3api", "delete-bucket", "--bucket", owned.uploads)
    if delete_data and owned.table:
        say(f"deleting the records in table {owned.table}")
        aws("dynamodb", "delete-table", "--table-name", owned.table)


def _disable(aws: Aws, mapping: str) -> None:
    """Disable the event source mapping and wait until it no longer polls the queue."""
    aws("lambda", "update-event-source-mapping", "--uuid", mapping, "--no-enabled")
    for _ in range(DISABLE_SECONDS // POLL_SECONDS):
        state = aws("lambda", "get-event-source-mapping", "--uuid", mapping)["State"]
        if state == "Disabled":
            return
        time.sleep(POLL_SECONDS)
    raise Stopped(
        f"expected the event source mapping {mapping} to be disabled, got {state}: nothing was deleted"
    )


def _delete_stack(aws: Aws, name: str, buckets: Sequence[str]) -> bool:
    for bucket in buckets:
        _empty(aws, bucket)
    aws("cloudformation", "delete-stack", "--stack-name", name)
    try:
        aws("cloudformation", "wait", "stack-delete-complete", "--stack-name", name)
    except AwsError:
        return False
    return True


def _empty(aws: Aws, bucket: str) -> None:
    """Delete every object, every version and every delete marker of a bucket; none if there is no bucket."""
    try:
        aws("s3api", "head-bucket", "--bucket", bucket)
    except AwsError as error:
        if error.code == "404":
            return
        raise
    aws("s3", "rm", f"s3://{bucket}", "--recursive", "--only-show-errors")
    while rows := _versions(
        aws("s3api", "list-object-versions", "--bucket", bucket, "--max-items", str(BATCH))
    ):
        if failed := _delete_versions(aws, bucket, rows):
            reasons = "; ".join(
                f"{row.get('Key')}: {row.get('Message') or row.get('Code')}" for row in failed[:5]
            )
            raise Stopped(f"expected every object of {bucket} to be deleted, got: {reasons}")


def _delete_versions(aws: Aws, bucket: str, rows: Sequence[Json]) -> Sequence[Json]:
    """Delete them, and return the errors. In a file: long keys make more than an argument may hold."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({"Objects": rows, "Quiet": True}, file)
        file.flush()
        answer = aws("s3api", "delete-objects", "--bucket", bucket, "--delete", f"file://{file.name}")
    errors: Sequence[Json] = answer.get("Errors", ())
    return errors


def _versions(page: Json) -> list[Json]:
    rows = [*(page.get("Versions") or ()), *(page.get("DeleteMarkers") or ())]
    return [{"Key": row["Key"], "VersionId": row["VersionId"]} for row in rows]


if __name__ == "__main__":
    sys.exit(ended(teardown))
