"""Deployment: puts the studio's page into its bucket, and tells it how the API lets callers in and what it
offers."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from aws_cli import Aws
from stack import Stack

WEB = Path(__file__).resolve().parents[1] / "src" / "image_processor" / "web"
MARK = '<meta name="image-processor" content="">'


def upload(aws: Aws, stack: Stack, values: Mapping[str, str]) -> bool:
    """Whether the stack has a studio; its page is in the bucket then. ``values`` are its parameters."""
    bucket = stack.outputs.get("StudioBucketName")
    if bucket is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), values["ApiAuthorization"], can_delete=values["EnableDelete"] == "true")
        # An update must show at once: the names of the files stay.
        options = ("--delete", "--cache-control", "no-cache", "--only-show-errors")
        aws("s3", "sync", folder, f"s3://{bucket}", *options)
    return True


def write(folder: Path, authorization: str, *, can_delete: bool) -> None:
    """The page's files, for callers whom API Gateway lets in by ``authorization``, and that may delete."""
    index = (WEB / "index.html").read_text(encoding="utf-8")
    if index.count(MARK) != 1:
        message = f"expected {MARK} once in {WEB / 'index.html'}, got {index.count(MARK)}"
        raise ValueError(message)
    shutil.copytree(WEB / "static", folder / "static")
    deletes = "true" if can_delete else "false"
    told = MARK.replace('content=""', f'content="{authorization}" data-delete="{deletes}"')
    (folder / "index.html").write_text(index.replace(MARK, told), encoding="utf-8")
