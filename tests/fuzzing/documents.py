"""Fuzz targets of texts: recipes, transformations, and events of every source."""

from __future__ import annotations

import json
from typing import Any

from image_processor.config.recipe import DEFAULT_RECIPE, parse_recipe
from image_processor.domain.errors import InvalidRecipe, InvalidTransformation
from image_processor.domain.models import Upload, UploadKind
from image_processor.domain.transformation import PARAMETERS, STEP_KINDS, parse
from image_processor.ingest.dead_letters import parse_message
from image_processor.ingest.events import message_body, read_messages

from .target import FuzzTarget, check_error, check_round_trip, text_of
from .urls import DIT_EDITS, URL

# Recipes ---------------------------------------------------------------------------------------------


def _check_recipe(data: bytes) -> None:
    text = data.decode(errors="replace")
    try:
        recipe = parse_recipe(text)
    except InvalidRecipe as error:
        _check_problems(error, len(text.splitlines()))
        return
    assert recipe == parse_recipe(text)
    for key in ("a.jpg", "photos/2026/ä b.png"):
        for transformation in recipe.transformations_for(key):
            check_round_trip(transformation)
            assert recipe.stored_name(key, transformation)
        assert set(recipe.eager_for(key)) <= set(recipe.transformations_for(key))


def _check_problems(error: InvalidRecipe, lines: int) -> None:
    """The message is UTF-8, and each problem is on a line of the file."""
    assert error.problems
    assert str(error).encode()
    assert all(problem.line is None or 0 <= problem.line <= lines for problem in error.problems)


_RECIPES = (
    DEFAULT_RECIPE,
    """
[presets.a]
widths = [320, 640]
formats = ["avif", "webp"]
quality = { avif = 50, webp = 70 }
public = false
[[rules]]
match = "photos/**/*.{jpg,png}"
presets = ["a"]
cache_control = "no-store"
""",
    """
[presets]
a = { width = 9, height = 9, fit = "contain", background = "#ff0000", blur = 1.5 }
[[rules]]
match = "**"
presets = ["a"]
""",
)
RECIPE = FuzzTarget(
    _check_recipe,
    lambda: tuple(text.encode() for text in _RECIPES),
    (
        *(b"[presets.a]\n", b"[[rules]]\n", b"presets = ", b"match = ", b"[[", b"]]", b"[", b"]", b"{", b"}"),
        *(b'"""', b"'", b'"', b" = ", b"\n", b",", b"#", b"true", b"1979-05-27T07:32:00Z", b"inf", b"nan"),
        *(b"1", b"9" * 30, b"-1", b"0.5", b"1e400", b"0x1f", b'"a"', b'"**"', b'"[a-"', b'"{a,"', b"\\u0000"),
        *(f"{row.field} = ".encode() for row in PARAMETERS),
    ),
    # tomllib reads each character by itself, and the errors' lines are looked up in all of the text.
    lines_per_byte=600,
)


# Transformations -------------------------------------------------------------------------------------


def _check_transformation(data: bytes) -> None:
    try:
        transformation = parse(text_of(data))
    except InvalidTransformation as error:
        check_error(error)
        return
    check_round_trip(transformation)


TRANSFORMATION = FuzzTarget(
    _check_transformation,
    lambda: tuple(seed.partition(b"?")[2].replace(b"&", b",") for seed in URL.seeds()),
    (*URL.tokens, b",", b"=", *(f"then={name}:".encode() for name in STEP_KINDS), b"fm=webp"),
)


# Events ----------------------------------------------------------------------------------------------


def _check_event(data: bytes) -> None:
    text = data.decode(errors="replace")
    record = {"eventSource": "aws:sqs", "messageId": "m", "body": text, "attributes": {}}
    try:
        direct = json.loads(text)
    except (ValueError, RecursionError):
        direct = text
    for event in ({"Records": [record]}, {"tasks": [direct]}, {"Records": [direct]}, direct):
        for message in read_messages(event):
            assert all("\n" not in reason and reason.isprintable() for reason in message.ignored)
            for upload in message.uploads:
                _check_upload(upload)
    assert parse_message("m", text).id == "m"


def _check_upload(upload: Upload) -> None:
    """An upload is valid, and survives the queue of reconcile."""
    assert upload.bucket
    assert upload.key.encode()
    kind = upload.kind if upload.kind is UploadKind.REPROCESS else UploadKind.RECONCILE
    assert parse_message("m", message_body(upload)).uploads == (Upload(upload.bucket, upload.key, kind),)


_OBJECT = {"key": "a+b%2Fc.jpg", "sequencer": "0055AED6", "versionId": "v", "version-id": "v"}
_S3 = {"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "b"}, "object": _OBJECT}}
_EVENTS: tuple[dict[str, Any], ...] = (
    {"Records": [_S3, {**_S3, "eventName": "s3:LifecycleExpiration:Delete"}]},
    {"detail-type": "Object Deleted", "detail": {"bucket": {"name": "b"}, "object": _OBJECT}},
    {"Type": "Notification", "Message": json.dumps({"Records": [_S3]})},
    {"Records": [{"Sns": {"Message": json.dumps({"Records": [_S3]})}}]},
    {"taskId": "t", "s3Key": "a", "s3BucketArn": "arn:aws:s3:::b", "s3VersionId": None},
    {"bucket": "b", "key": "ä/ü?.jpg", "reprocess": True},
    {"Event": "s3:TestEvent", "Bucket": "b"},
    {"Records": [{"eventSource": "aws:sqs", "messageId": "m", "body": json.dumps({"Records": [_S3]})}]},
)
EVENT = FuzzTarget(
    _check_event,
    lambda: tuple(json.dumps(event).encode() for event in _EVENTS),
    (
        *(
            f'"{name}":'.encode()
            for name in ("Records", "s3", "bucket", "object", "key", "name", "detail", "Sns")
        ),
        *(
            b'"eventName":"ObjectCreated:Put"',
            b'"Message":',
            b'"body":',
            b'"reprocess":true',
            b"null",
            b"[]",
            b"{}",
        ),
        *(b"\\ud800", b"\\u0000", b"%ff", b"%2e%2e/", b"../", b"+", b"1e999", *DIT_EDITS.tokens[-30:]),
    ),
    max_bytes=20_000,
)

TARGETS = {"recipe": RECIPE, "transformation": TRANSFORMATION, "event": EVENT}
