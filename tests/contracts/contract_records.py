"""Records, times and claims that the suites of catalogs share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from image_processor.errors import Reason
from image_processor.model import Claim, Facts, Look, Record, Rendition, Status, Upload
from image_processor.ports import Catalog

NOW = datetime(2026, 5, 17, 12, 30, 0, 123456, tzinfo=UTC)
LEASE = timedelta(minutes=5)
DAY = timedelta(days=1)
INSTANT = timedelta(microseconds=1)

# A lone surrogate is no text that a database takes; NUL is in no key.
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
MOMENTS = st.timedeltas(-500_000 * DAY, 500_000 * DAY).map(lambda gap: NOW + gap)
NUMBERS = st.integers(0, 2**53)
FACTS = st.builds(
    Facts,
    width=NUMBERS,
    height=NUMBERS,
    format=st.sampled_from(["jpeg", "avif"]),
    frames=NUMBERS,
    alpha=st.booleans(),
    bytes=NUMBERS,
    sha256=TEXTS,
)
RECORDS = st.builds(
    Record,
    id=TEXTS,
    bucket=TEXTS,
    key=TEXTS,
    created_at=MOMENTS,
    updated_at=MOMENTS,
    status=st.sampled_from(Status),
    version=st.none() | TEXTS,
    sequencer=st.none() | TEXTS,
    fingerprint=st.none() | TEXTS,
    reason=st.none() | st.sampled_from(Reason),
    message=st.none() | TEXTS,
    original=st.none() | FACTS,
    look=st.none() | st.builds(Look, TEXTS, TEXTS, TEXTS),
    renditions=st.lists(st.builds(Rendition, TEXTS, TEXTS, FACTS, TEXTS), max_size=3).map(tuple),
    revision=NUMBERS,
)


def upload(key: str = "photos/cat.jpg", sequencer: str | None = None) -> Upload:
    return Upload("uploads", key, sequencer=sequencer)


def take(catalog: Catalog, key: str = "photos/cat.jpg", *, owner: str = "a", now: datetime = NOW) -> Claim:
    return catalog.claim(upload(key), owner=owner, now=now, lease=LEASE)
