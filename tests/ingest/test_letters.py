"""Why a message is a dead letter, as far as what is there now tells."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_processor.domain.errors import Reason, Unavailable
from image_processor.domain.models import Record, Status, Upload, UploadKind
from image_processor.ingest.dead_letters import (
    FailureReason,
    KeyState,
    diagnose,
    diagnose_message,
    main_diagnosis,
    parse_message,
)
from image_processor.ingest.drift import Drift
from image_processor.renditions.originals import OriginalState

THEN = datetime(2026, 1, 1, tzinfo=UTC)
PROCESSED = Record("1", "ours", "a.jpg", THEN, THEN, Status.PROCESSED, "v1")
REFUSED = Record("1", "ours", "a.jpg", THEN, THEN, Status.REFUSED, "v1", reason=Reason.CORRUPT, message="bad")
SIGHT = OriginalState("v1")


@pytest.mark.parametrize(
    ("upload", "state", "reason", "detail"),
    [
        (
            Upload("theirs", "a.jpg"),
            KeyState(SIGHT, None, Drift.MISSING),
            "foreign-bucket",
            "expected ours, got theirs",
        ),
        (Upload("ours", "a.jpg"), KeyState(SIGHT, None, Drift.MISSING), "unfinished", "missing"),
        (Upload("ours", "a.jpg"), KeyState(SIGHT, PROCESSED, Drift.STALE), "unfinished", "stale"),
        (Upload("ours", "a.jpg"), KeyState(SIGHT, REFUSED, Drift.STALE), "unfinished", "stale"),
        (Upload("ours", "a.jpg"), KeyState(SIGHT, PROCESSED, None), "settled", None),
        (Upload("ours", "a.jpg"), KeyState(SIGHT, REFUSED, None), "refused", "corrupt: bad"),
        (Upload("ours", "a.jpg"), KeyState(None, None, None), "gone", None),
        # What was made of a deleted original still lies there.
        (
            Upload("ours", "a.jpg", UploadKind.DELETED),
            KeyState(None, PROCESSED, Drift.ORPHANED),
            "unfinished",
            "orphaned",
        ),
        (
            Upload("ours", "a.jpg", UploadKind.REPROCESS),
            KeyState(SIGHT, PROCESSED, None),
            "unfinished",
            "asked for every rendition anew",
        ),
        (Upload("ours", "a.jpg", UploadKind.REPROCESS), KeyState(None, None, None), "gone", None),
    ],
)
def test_the_reason_follows_from_what_is_there(upload, state, reason, detail):
    verdict = diagnose(upload, "ours", state)
    assert (verdict.reason, verdict.detail, verdict.upload) == (reason, detail, upload)


def test_nobody_looks_for_another_bucket_and_a_look_that_fails_is_no_reason_to_end():
    def look(_):
        raise Unavailable("no answer")

    message = parse_message(
        "1",
        '{"Records": [{"s3": {"bucket": {"name": "b"}, "object": {"key": "k"}}, '
        '"eventName": "ObjectCreated:Put"}]}',
    )
    (ours,), (theirs,) = diagnose_message(message, "b", look), diagnose_message(message, "c", look)
    assert (ours.reason, ours.detail) == (FailureReason.UNKNOWN, "no answer")
    assert theirs.reason is FailureReason.FOREIGN_BUCKET
    assert diagnose_message(message, None, None)[0].reason is FailureReason.UNKNOWN


def test_what_says_most_stands_for_the_whole_letter():
    uploads = [Upload("theirs", "c"), Upload("ours", "b"), Upload("ours", "a")]
    states = [
        KeyState(None, None, None),
        KeyState(SIGHT, PROCESSED, None),
        KeyState(SIGHT, None, Drift.MISSING),
    ]
    verdicts = tuple(diagnose(upload, "ours", state) for upload, state in zip(uploads, states, strict=True))
    assert main_diagnosis(verdicts) == verdicts[2]
    assert main_diagnosis(verdicts[:2]) == verdicts[1]


@given(st.text() | st.recursive(st.none() | st.text(), st.lists).map(repr))
def test_any_body_has_a_reason_out_of_the_list(body):
    verdicts = diagnose_message(parse_message("1", body), "ours", lambda _: KeyState(None, None, None))
    assert main_diagnosis(verdicts).reason in FailureReason
