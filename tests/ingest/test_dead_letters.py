"""The diagnosis of a dead letter follows from the current state of its key."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_processor.domain.errors import Reason, Unavailable
from image_processor.domain.models import Record, Status, Upload, UploadKind
from image_processor.ingest.dead_letters import (
    Diagnosis,
    FailureReason,
    diagnose,
    diagnose_message,
    main_diagnosis,
    parse_message,
)
from image_processor.ingest.drift import Drift, KeyState
from image_processor.renditions.originals import OriginalState

THEN = datetime(2026, 1, 1, tzinfo=UTC)
PROCESSED = Record("1", "ours", "a.jpg", THEN, THEN, Status.PROCESSED, "v1")
REFUSED = Record("1", "ours", "a.jpg", THEN, THEN, Status.REFUSED, "v1", reason=Reason.CORRUPT, message="bad")
ORIGINAL = OriginalState("v1")
NOTHING = KeyState(None, None, None)


@pytest.mark.parametrize(
    ("kind", "state", "reason", "detail"),
    [
        (UploadKind.CREATED, KeyState(ORIGINAL, None, Drift.MISSING), "unfinished", "missing"),
        (UploadKind.CREATED, KeyState(ORIGINAL, PROCESSED, Drift.STALE), "unfinished", "stale"),
        (UploadKind.CREATED, KeyState(ORIGINAL, REFUSED, Drift.STALE), "unfinished", "stale"),
        (UploadKind.CREATED, KeyState(ORIGINAL, PROCESSED, None), "settled", None),
        (UploadKind.CREATED, KeyState(ORIGINAL, REFUSED, None), "refused", "corrupt: bad"),
        (UploadKind.CREATED, NOTHING, "gone", None),
        (UploadKind.DELETED, KeyState(None, PROCESSED, Drift.ORPHANED), "unfinished", "orphaned"),
        (
            UploadKind.REPROCESS,
            KeyState(ORIGINAL, PROCESSED, None),
            "unfinished",
            "reprocessing was requested",
        ),
        (UploadKind.REPROCESS, NOTHING, "gone", None),
    ],
)
def test_the_reason_follows_from_the_state_of_the_key(kind, state, reason, detail):
    upload = Upload("ours", "a.jpg", kind)
    assert diagnose(upload, state) == Diagnosis(FailureReason(reason), detail, upload)


def notification(bucket):
    record = {"s3": {"bucket": {"name": bucket}, "object": {"key": "k"}}, "eventName": "ObjectCreated:Put"}
    return json.dumps({"Records": [record]})


def test_a_foreign_bucket_is_not_inspected():
    (diagnosis,) = diagnose_message(parse_message("1", notification("theirs")), "ours", pytest.fail)
    assert (diagnosis.reason, diagnosis.detail) == (FailureReason.FOREIGN_BUCKET, "expected ours, got theirs")


def test_a_failed_inspection_is_unknown():
    def inspect(_):
        raise Unavailable("no answer")

    (diagnosis,) = diagnose_message(parse_message("1", notification("ours")), "ours", inspect)
    assert (diagnosis.reason, diagnosis.detail) == (FailureReason.UNKNOWN, "no answer")


def test_without_buckets_every_upload_is_unknown():
    (diagnosis,) = diagnose_message(parse_message("1", notification("ours")), None, None)
    assert diagnosis.reason is FailureReason.UNKNOWN


def test_the_first_reason_of_the_list_is_that_of_the_message():
    foreign, settled, unfinished = (
        Diagnosis(FailureReason.FOREIGN_BUCKET),
        Diagnosis(FailureReason.SETTLED),
        Diagnosis(FailureReason.UNFINISHED),
    )
    assert main_diagnosis((foreign, settled, unfinished)) == unfinished
    assert main_diagnosis((foreign, settled)) == settled


@given(st.text() | st.recursive(st.none() | st.text(), st.lists).map(repr))
def test_any_body_has_a_reason_from_the_list(body):
    diagnoses = diagnose_message(parse_message("1", body), "ours", lambda _: NOTHING)
    assert main_diagnosis(diagnoses).reason in FailureReason
