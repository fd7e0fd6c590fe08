"""`backfill manifest`: the list of originals that an S3 Batch Operations job has the stack process."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain
from typing import Annotated
from urllib.parse import quote

import typer

from image_processor.domain.errors import Invalid
from image_processor.domain.ports import Attributes
from image_processor.ingest.plan import skip_reason

from .aws_session import open_session
from .aws_target import AwsTarget, read_stack
from .context import Library, command_context
from .options import Json, Profile, Region

app = typer.Typer(no_args_is_help=True, help="Have S3 Batch Operations process a whole library on AWS.")

FOLDER = ".image-processor/backfill/"
"""The prefix of manifests and reports in the processed bucket. They name keys: do not publish this prefix."""
_MAX_BYTES = 5 * 1024**3
"""S3's limit for one PUT ("Uploading objects")."""


@app.command("manifest")
def manifest_command(
    ctx: typer.Context,
    stack: Annotated[str, typer.Option(help="Stack on AWS.", metavar="NAME")],
    prefix: Annotated[str, typer.Option(help="Only originals whose key starts with this.")] = "",
    profile: Profile = None,
    region: Region = None,
    as_json: Json = False,
) -> None:
    """Write a manifest of the originals that the stack's recipe processes, and print how to start the job.

    The manifest is a CSV file in the processed bucket. A job invokes the function *process* for each line;
    what is finished already is left alone.
    """
    target = read_stack(open_session(profile, region), stack)
    library = target.open_library(command_context(ctx))
    lines = _Lines(library, prefix)
    first = next(lines.chunks, None)
    if first is None:
        raise Invalid.one("--prefix", "a prefix of at least one original that the recipe processes", prefix)
    key = f"{FOLDER}{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}.csv"
    attributes = Attributes("text/csv", "no-store")
    chunks = chain([first], lines.chunks)
    written = library.stores.processed.put_stream(key, chunks, attributes, limit=_MAX_BYTES)
    bucket = target.settings.processed_bucket or ""
    job = _job(target, bucket, key, written.version)
    if as_json:
        typer.echo(json.dumps({"manifest": f"s3://{bucket}/{key}", "originals": lines.count, "job": job}))
        return
    typer.echo(f"{lines.count} originals in s3://{bucket}/{key}")
    typer.echo(f"next (with EnableBackfill=true):\n{_command(job, stack, target.session.region_name)}")


class _Lines:
    """The lines of a manifest, about a thousand per chunk. ``count`` is how many have been read."""

    def __init__(self, library: Library, prefix: str) -> None:
        self.count = 0
        self.chunks = self._chunks(library, prefix)

    def _chunks(self, library: Library, prefix: str) -> Iterator[bytes]:
        lines: list[str] = []
        for entry in library.stores.uploads.list(prefix):
            if skip_reason(entry.key, library.recipe) is None:
                # "Specifying a manifest": keys are URL-encoded.
                lines.append(f"{library.bucket},{quote(entry.key)}\n")
                self.count += 1
            if len(lines) == 1000:
                yield "".join(lines).encode()
                lines.clear()
        if lines:
            yield "".join(lines).encode()


def _job(target: AwsTarget, bucket: str, key: str, etag: str) -> dict[str, object]:
    """The arguments of CreateJob, without the role."""
    arn = f"arn:{(target.function or 'arn:aws').split(':')[1]}:s3:::{bucket}"
    account = (target.function or "::::").split(":")[4]
    return {
        "AccountId": account,
        "Operation": {"LambdaInvoke": {"FunctionArn": target.function}},
        "Manifest": {
            "Spec": {"Format": "S3BatchOperations_CSV_20180820", "Fields": ["Bucket", "Key"]},
            "Location": {"ObjectArn": f"{arn}/{key}", "ETag": etag},
        },
        "Report": {
            "Bucket": arn,
            "Prefix": f"{FOLDER}reports",
            "Format": "Report_CSV_20180820",
            "Enabled": True,
            "ReportScope": "FailedTasksOnly",
        },
        "Priority": 10,
        "ConfirmationRequired": True,
    }


def _command(job: dict[str, object], stack: str, region: str) -> str:
    where = f"--region {shlex.quote(region)}"
    role = (
        f"$(aws cloudformation describe-stacks {where} --stack-name {shlex.quote(stack)} --output text "
        "--query \"Stacks[0].Outputs[?OutputKey=='BackfillRoleArn'].OutputValue\")"
    )
    arguments = shlex.quote(json.dumps(job))
    return f'aws s3control create-job {where} --cli-input-json {arguments} --role-arn "{role}"'
