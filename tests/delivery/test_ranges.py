"""10,000 ranges: each response is exactly that part of the bytes (promise 44)."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random

from image_processor.delivery.http.response import build_response
from image_processor.domain.ports import Attributes, Entry, StoredObject
from support.ranges import meant, said

SEED = 44


def test_ten_thousand_ranges_are_parts_of_the_whole():
    random = Random(SEED)
    statuses = {200: 0, 206: 0, 416: 0}
    for _ in range(10_000):
        body = random.randbytes(random.choice([1, 2, 10, 3000]))
        entry = Entry("k", len(body), "v1", datetime(2026, 1, 1, tzinfo=UTC))
        text, first, last = said(random, len(body))
        decided = build_response("GET", {"range": text}, StoredObject(entry, Attributes()), cache_control="")
        expected = meant(body, first, last) if text == f"bytes={first}-{last}" else body
        statuses[decided.status] += 1
        if expected is None:
            assert (decided.status, decided.headers["content-range"]) == (416, f"bytes */{len(body)}"), text
            continue
        assert decided.byte_range is not None
        part = body[decided.byte_range.start : decided.byte_range.stop]
        assert (part, decided.headers["content-length"]) == (expected, str(len(expected))), text
        assert 0 <= decided.byte_range.start < decided.byte_range.stop <= len(body)
        assert ("content-range" in decided.headers) == (decided.status == 206)
    assert min(statuses.values()) > 500
