"""A fuzz target for atheris: feeds one of our parsers with inputs chosen by coverage.

TARGET [libFuzzer's options and corpora]: anything that a target raises, but for its own refusals, ends
the program with the input in a file. `--corpus FOLDER` writes the valid inputs to begin with instead.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["image_processor"], enable_loader_override=False):
    from image_processor.delivery.url.parser import parse_url
    from image_processor.domain.errors import InvalidKey, InvalidRequest, Refused
    from image_processor.domain.formats import describe_foreign, sniff
    from image_processor.domain.models import ExifField, Limits, TruncatedPolicy, Upload
    from image_processor.engine.codecs import exif, jpeg, tiff
    from image_processor.engine.codecs.probe import probe
    from image_processor.engine.codecs.registry import CODECS
    from image_processor.ingest.events import read_messages

_LIMITS = (Limits(svg=True), Limits(svg=True, truncated=TruncatedPolicy.LENIENT))


def header(data: bytes) -> None:
    for limits in _LIMITS:
        try:
            found = probe(data, limits)
        except Refused:
            continue
        assert 0 < found.width * found.height * found.frames <= limits.max_pixels


def shape(data: bytes) -> None:
    sniff(data[:1024])
    describe_foreign(data[:1024])
    for codec in CODECS.values():
        assert codec.is_truncated(data, 0) in {True, False}
    assert jpeg.lacks_end(data) in {True, False}
    assert jpeg.count_scans(data) >= 0
    assert jpeg.buffered_coefficients(data) >= 0


def directory(data: bytes) -> None:
    for page in range(3):
        found = tiff.read_directory(data, page)
        assert tiff.is_truncated(data, page) in {True, False}
        if found is None:
            continue
        assert found.block_bytes >= 0
        try:
            tiff.check_samples(found)
        except Refused:
            continue
        assert 0 <= found.idle_samples < found.samples


def tags(data: bytes) -> None:
    for name, value in exif.read_exif(data, "tiff", tuple(ExifField)):
        assert name in set(ExifField)
        assert value.isprintable()
        assert len(value) <= exif.MAX_CHARACTERS


def event(data: bytes) -> None:
    text = data.decode(errors="replace")
    record = {"eventSource": "aws:sqs", "messageId": "m", "body": text, "attributes": {}}
    try:
        direct = json.loads(text)
    except (ValueError, RecursionError):
        direct = text
    for given in ({"Records": [record]}, {"tasks": [direct]}, direct):
        for message in read_messages(given):
            assert all(isinstance(upload, Upload) and upload.key for upload in message.uploads)


def url(data: bytes) -> None:
    path, _, query = data.decode(errors="replace").partition("?")
    try:
        address = parse_url(path, query)
    except (InvalidRequest, InvalidKey):
        return
    again = "&".join(f"{name}={value.replace('%', '%25')}" for name, value in address.pairs)
    if not address.named and address.key == path and "%" not in path:
        assert parse_url(path, again).pairs == address.pairs, "canonical is final"


TARGETS: dict[str, Callable[[bytes], None]] = {
    each.__name__: each for each in (header, shape, directory, tags, event, url)
}


def _corpus(target: str) -> dict[str, bytes]:
    if target == "event":
        object_ = {"key": "a+b%2Fc.jpg", "sequencer": "0055AED6", "versionId": "v"}
        s3 = {
            "Records": [
                {"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "b"}, "object": object_}}
            ]
        }
        bridge = {"detail-type": "Object Deleted", "detail": {"bucket": {"name": "b"}, "object": object_}}
        sns = {"Type": "Notification", "Message": json.dumps(s3)}
        task = {"taskId": "t", "s3Key": "a", "s3BucketArn": "arn:aws:s3:::b"}
        return {str(at): json.dumps(each).encode() for at, each in enumerate((s3, bridge, sns, task))}
    if target == "url":
        urls = (
            "photos/cat.jpg?w=640&fm=auto&kid=a&expires=1900000000&s=AA",
            "a/w=640,fm=webp.webp",
            "a/~w=9.png",
        )
        return {str(at): each.encode() for at, each in enumerate(urls)}
    from hostile.originals import originals  # noqa: PLC0415 - the other targets need no images

    return {name: data for name, data in originals().items() if target == "header" or len(data) < 1000}


def main() -> None:
    target = sys.argv.pop(1)
    if sys.argv[1] == "--corpus":
        for name, data in _corpus(target).items():
            Path(sys.argv[2], name).write_bytes(data)
        return
    atheris.Setup(sys.argv, TARGETS[target])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
