"""The HTTP responses to errors of delivery: statuses, caching, and what they never reveal."""

from __future__ import annotations

import json

import pytest

from image_processor.api.error_status import TITLES, delivery_status, error_response, status_of
from image_processor.domain import errors
from image_processor.domain.errors import ImageProcessorError, Invalid, Problem, Reason, Refused, Unreadable

PROBLEMS = [Problem("w", "1-100", "'x'")]
TABLE: list[tuple[ImageProcessorError, int, str]] = [
    (errors.InvalidKey(PROBLEMS), 400, "no-store"),
    (errors.InvalidRequest(PROBLEMS), 400, "no-store"),
    (errors.InvalidTransformation(PROBLEMS), 400, "no-store"),
    (errors.InvalidRecipe(PROBLEMS), 400, "no-store"),
    (errors.InvalidSettings(PROBLEMS), 400, "no-store"),
    (errors.Invalid(PROBLEMS), 400, "no-store"),
    (errors.BucketNotAllowed("no"), 403, "no-store"),
    (errors.Forbidden("no"), 403, "no-store"),
    (errors.NotWritable("no"), 403, "no-store"),
    (errors.SourceNotAllowed("no"), 403, "no-store"),
    (errors.AddressNotAllowed("no"), 403, "no-store"),
    (errors.SignatureMissing("no"), 403, "no-store"),
    (errors.SignatureMismatch("no"), 403, "no-store"),
    (errors.SignatureExpired("no"), 403, "no-store"),
    (errors.SignatureKeyUnknown("no"), 403, "no-store"),
    (errors.SizeNotAllowed("no"), 403, "no-store"),
    (errors.NotFound("none"), 404, "max-age=5"),
    (errors.ChecksumMismatch("other"), 460, "no-store"),
    (errors.MissingExtra("none"), 501, "no-store"),
    (errors.Unavailable("later"), 503, "no-store"),
    (errors.AccessDenied("later"), 503, "no-store"),
    (errors.Overloaded("later"), 503, "no-store"),
    (errors.SourceFailed("later"), 503, "no-store"),
    (errors.ShareExceeded("later"), 503, "no-store"),
    (errors.InsufficientStorage("later"), 503, "no-store"),
    (errors.CatalogDamaged("later"), 503, "no-store"),
    (errors.PreconditionFailed("later"), 503, "no-store"),
    (errors.LeaseBusy("later"), 503, "no-store"),
    (errors.LeaseLost("later"), 503, "no-store"),
    (errors.UnsafeRuntime("a secret"), 500, "no-store"),
    (errors.ImageProcessorError("a secret"), 500, "no-store"),
]
REFUSED = {
    415: {Reason.EMPTY, Reason.NOT_AN_IMAGE, Reason.UNSUPPORTED_FORMAT},
    413: {Reason.TOO_MANY_BYTES, Reason.TOO_MANY_PIXELS, Reason.TOO_MANY_FRAMES, Reason.TOO_MANY_SCANS},
}


@pytest.mark.parametrize(("error", "status", "kept"), TABLE, ids=[type(row[0]).__name__ for row in TABLE])
def test_each_error_has_its_status(error: ImageProcessorError, status: int, kept: str) -> None:
    got, document, headers = error_response(error)
    assert (got, document["status"], delivery_status(error)) == (status, status, status)
    assert document["code"] == error.code
    assert document["title"] == TITLES[status]
    assert headers["cache-control"] == kept
    assert ("retry-after" in headers) == (status == 503)
    assert ("problems" in document) == isinstance(error, Invalid)
    assert ("fix" in document) == (status == 403)
    assert "secret" not in json.dumps(document)


def test_clients_of_tus_are_told_by_a_503_that_their_share_is_taken() -> None:
    """After a 429 they give up."""
    for error, status in ((errors.ShareExceeded("later"), 503), (errors.NotFound("none"), 404)):
        assert status_of(error, is_tus=True) == status
    assert status_of(errors.ShareExceeded("later")) == 429


def test_every_error_class_is_in_the_table() -> None:
    def below(kind: type[ImageProcessorError]) -> set[type[ImageProcessorError]]:
        return {kind, *(one for item in kind.__subclasses__() for one in below(item))}

    known = {kind for kind in below(ImageProcessorError) if kind.__module__ == errors.__name__}
    assert known - {Refused, Unreadable} == {type(row[0]) for row in TABLE}


@pytest.mark.parametrize("reason", Reason)
def test_each_refusal_reason_has_its_status(reason: Reason) -> None:
    expected = next((status for status, reasons in REFUSED.items() if reason in reasons), 422)
    status, document, headers = error_response(Refused(reason, "why"))
    assert (status, document["reason"], document["detail"]) == (expected, reason, "why")
    assert headers["cache-control"] == "max-age=5"
    assert document["fix"]


def test_at_most_twenty_problems_are_listed() -> None:
    _, document, _ = error_response(
        errors.InvalidRequest([Problem(f"p{number}", "x", "y") for number in range(99)])
    )
    assert [item["name"] for item in document["problems"]] == [f"p{number}" for number in range(20)]
    assert document["detail"].count(";") == 19
