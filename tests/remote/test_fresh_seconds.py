"""How long a source lets a copy be used."""

from __future__ import annotations

from datetime import UTC, datetime
from math import inf

import pytest

from image_processor.remote.freshness import fresh_seconds

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
DATE = "Thu, 01 Jan 2026 12:00:00 GMT"
LATER, EARLIER = "Thu, 01 Jan 2026 12:10:00 GMT", "Thu, 01 Jan 2026 10:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"cache-control": "public"}, None),
        ({"cache-control": "public, max-age=60"}, 60),
        ({"cache-control": 'Max-Age="60"'}, 60),
        ({"cache-control": "max-age=60, s-maxage=5"}, 5),
        ({"cache-control": "max-age=60", "age": "50"}, 10),
        ({"cache-control": "max-age=60", "age": "500"}, 0),
        ({"cache-control": "max-age=60", "age": "-5"}, 60),
        ({"cache-control": "max-age=60", "age": "9" * 5000}, 0),
        ({"cache-control": f"max-age={'9' * 5000}", "age": "1"}, inf),
        ({"cache-control": "max-age=60", "expires": EARLIER}, 60),
        ({"cache-control": "max-age=x", "expires": LATER}, 600),
        *(({"cache-control": f"{word}, max-age=60"}, 0) for word in ("no-store", "no-cache", "private")),
        ({"expires": LATER}, 600),
        ({"expires": LATER, "date": "Thu, 01 Jan 2026 12:05:00 GMT"}, 300),
        ({"expires": EARLIER}, 0),
        ({"expires": "0"}, 0),
        ({"last-modified": EARLIER, "date": DATE}, 720),
        ({"last-modified": LATER}, 0),
        ({"last-modified": "never"}, None),
    ],
)
def test_headers_say_how_long(headers: dict[str, str], seconds: float | None) -> None:
    assert fresh_seconds(headers, NOW) == seconds
