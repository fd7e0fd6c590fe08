"""Why a message is a dead letter, as far as what is there now tells."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_processor.domain.errors import Reason, Unavailable
from image_processor.domain.models import Record, Status, Upload, UploadKind
from image_processor.ingest.dead_letters import (
    LetterReason,
    State,
    judge,
    read_letter,
    reason_of,
    verdicts_of,
)
from image_processor.ingest.drift import Why
from image_processor.renditions.stored import Sight

THEN = datetime(2026, 1, 1, tzinfo=UTC)
PROCESSED = Record("1", "ours", "a.jpg", THEN, THEN, Status.PROCESSED, "v1")
REFUSED = Record("1", "ours", "a.jpg", THEN, THEN, Status.REFUSED, "v1", reason=Reason.CORRUPT, message="bad")
SIGHT = Sight("v1")


@pytest.mark.parametrize(
    ("upload", "state", "reason", "detail"),
    [
        (
            Upload("theirs", "a.jpg"),
            State(SIGHT, None, Why.MISSING),
            "foreign-bucket",
            "expected ours, got theirs",
        ),
        (Upload("ours", "a.jpg"), State(SIGHT, None, Why.MISSING), "unfinished", "missing"),
        (Upload("ours", "a.jpg"), State(SIGHT, PROCESSED, Why.STALE), "unfinished", "stale"),
        (Upload("ours", "a.jpg"), State(SIGHT, REFUSED, Why.STALE), "unfinished", "stale"),
        (Upload("ours", "a.jpg"), State(SIGHT, PROCESSED, None), "settled", None),
        (Upload("ours", "a.jpg"), State(SIGHT, REFUSED, None), "refused", "corrupt: bad"),
        (Upload("ours", "a.jpg"), State(None, None, None), "gone", None),
        # What was made of a deleted original still lies there.
        (
            Upload("ours", "a.jpg", UploadKind.DELETED),
            State(None, PROCESSED, Why.ORPHANED),
            "unfinished",
            "orphaned",
        ),
        (
            Upload("ours", "a.jpg", UploadKind.REPROCESS),
            State(SIGHT, PROCESSED, None),
            "unfinished",
            "asked for every rendition anew",
        ),
        (Upload("ours", "a.jpg", UploadKind.REPROCESS), State(None, None, None), "gone", None),
    ],
)
def test_the_reason_follows_from_what_is_there(upload, state, reason, detail):
    verdict = judge(upload, "ours", state)
    assert (verdict.reason, verdict.detail, verdict.upload) == (reason, detail, upload)


def test_nobody_looks_for_another_bucket_and_a_look_that_fails_is_no_reason_to_end():
    def look(_):
        raise Unavailable("no answer")

    message = read_letter(
        "1",
        '{"Records": [{"s3": {"bucket": {"name": "b"}, "object": {"key": "k"}}, '
        '"eventName": "ObjectCreated:Put"}]}',
    )
    (ours,), (theirs,) = verdicts_of(message, "b", look), verdicts_of(message, "c", look)
    assert (ours.reason, ours.detail) == (LetterReason.UNKNOWN, "no answer")
    assert theirs.reason is LetterReason.FOREIGN_BUCKET
    assert verdicts_of(message, None, None)[0].reason is LetterReason.UNKNOWN


def test_what_says_most_stands_for_the_whole_letter():
    uploads = [Upload("theirs", "c"), Upload("ours", "b"), Upload("ours", "a")]
    states = [State(None, None, None), State(SIGHT, PROCESSED, None), State(SIGHT, None, Why.MISSING)]
    verdicts = tuple(judge(upload, "ours", state) for upload, state in zip(uploads, states, strict=True))
    assert reason_of(verdicts) == verdicts[2]
    assert reason_of(verdicts[:2]) == verdicts[1]


@given(st.text() | st.recursive(st.none() | st.text(), st.lists).map(repr))
def test_any_body_has_a_reason_out_of_the_list(body):
    verdicts = verdicts_of(read_letter("1", body), "ours", lambda _: State(None, None, None))
    assert reason_of(verdicts).reason in LetterReason
