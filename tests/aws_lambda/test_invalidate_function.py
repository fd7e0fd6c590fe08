"""The function `invalidate`: one call for a batch, and nothing that CloudFront did not accept is lost."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from image_processor.aws_lambda import invalidate_function
from image_processor.aws_lambda.invalidate_function import MAX_PATHS, handle
from image_processor.domain.errors import InvalidSettings, Unavailable


class Cdn:
    def __init__(self) -> None:
        self.calls: list[tuple[list[str], str]] = []
        self.busy = False

    def invalidate(self, paths: Sequence[str], reference: str) -> None:
        if self.busy:
            raise Unavailable("TooManyInvalidationsInProgress")
        self.calls.append((list(paths), reference))


@pytest.fixture
def cdn(monkeypatch: pytest.MonkeyPatch) -> Cdn:
    monkeypatch.setattr(invalidate_function.log, "line", lambda *_args, **_fields: None)
    monkeypatch.setattr(invalidate_function.log, "metrics", lambda *_args: None)
    return Cdn()


def batch(*bodies: object) -> dict[str, Any]:
    texts = [body if isinstance(body, str) else json.dumps(body) for body in bodies]
    return {"Records": [{"messageId": f"m{n}", "body": text} for n, text in enumerate(texts)]}


def change(number: int, key: str) -> dict[str, str]:
    return {"id": f"c{number}", "key": key}


def test_a_batch_is_one_invalidation(cdn: Cdn) -> None:
    event = batch(change(1, "a.jpg"), change(2, "a.jpg"), change(3, "b+c.jpg"))
    assert handle(event, cdn.invalidate) == {"batchItemFailures": []}
    ((paths, _),) = cdn.calls
    assert paths == ["/a.jpg*", "/b%2Bc.jpg*", "/b+c.jpg*"]


def test_a_bulk_overwrite_stays_within_what_cloudfront_runs_at_a_time(cdn: Cdn) -> None:
    """1,000 images in ten folders: before, 985 of them ended as dead letters."""
    changes = [change(number, f"shop/{number % 10}/{number}.jpg") for number in range(1000)]
    for start in (0, 500):
        assert handle(batch(*changes[start : start + 500]), cdn.invalidate) == {"batchItemFailures": []}
    assert all(len(paths) <= MAX_PATHS for paths, _ in cdn.calls)
    assert 2 * MAX_PATHS <= 15
    assert {path for paths, _ in cdn.calls for path in paths} == {"/shop/*"}


def test_what_cloudfront_does_not_accept_is_delivered_again(cdn: Cdn) -> None:
    cdn.busy = True
    event = batch(change(1, "a.jpg"), "not json", change(2, "b.jpg"))
    failures = [{"itemIdentifier": "m0"}, {"itemIdentifier": "m2"}]
    assert handle(event, cdn.invalidate) == {"batchItemFailures": failures}
    cdn.busy = False
    assert handle(event, cdn.invalidate) == {"batchItemFailures": []}
    assert len(cdn.calls) == 1


def test_a_batch_that_is_delivered_again_has_the_same_reference(cdn: Cdn) -> None:
    """CloudFront creates no second invalidation for it."""
    first, second = change(1, "a.jpg"), change(2, "b.jpg")
    for event in (batch(first, second), batch(second, first), batch(first)):
        handle(event, cdn.invalidate)
    references = [reference for _, reference in cdn.calls]
    assert references[0] == references[1] != references[2]


@pytest.mark.parametrize("body", ["", "[]", "null", '{"id": "x"}', '"text"', "5", "[" * 99_999])
def test_other_messages_are_dropped(body: str, cdn: Cdn) -> None:
    assert handle(batch(body), cdn.invalidate) == {"batchItemFailures": []}
    assert cdn.calls == []


def test_without_a_distribution_the_function_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IMAGE_PROCESSOR_DISTRIBUTION", raising=False)
    with pytest.raises(InvalidSettings, match="DISTRIBUTION"):
        invalidate_function.open_invalidate()
