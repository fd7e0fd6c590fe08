"""Records, times and leases for the contract suites of catalogs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from image_processor.domain.errors import Reason
from image_processor.domain.keys import image_id
from image_processor.domain.models import (
    ExifField,
    Focus,
    ImageMetadata,
    Lease,
    Record,
    Rendition,
    Status,
    Upload,
    VisualSummary,
)
from image_processor.domain.ports import Catalog

FOCUS = Focus(0.25, 0.75, "v1")
NOW = datetime(2026, 5, 17, 12, 30, 0, 123456, tzinfo=UTC)
LEASE = timedelta(minutes=5)
DAY = timedelta(days=1)
INSTANT = timedelta(microseconds=1)

# Databases reject lone surrogates, and no key contains NUL.
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
MOMENTS = st.timedeltas(-500_000 * DAY, 500_000 * DAY).map(lambda gap: NOW + gap)
NUMBERS = st.integers(0, 2**53)
METADATA = st.builds(
    ImageMetadata,
    width=NUMBERS,
    height=NUMBERS,
    format=st.sampled_from(["jpeg", "avif"]),
    frames=NUMBERS,
    alpha=st.booleans(),
    bytes=NUMBERS,
    sha256=TEXTS,
)
FRACTIONS = st.floats(0, 1).map(lambda fraction: round(fraction, 3))
HASHES = st.integers(0, 2**64 - 1)
SUMMARIES = st.builds(
    VisualSummary,
    TEXTS,
    TEXTS,
    HASHES.map(lambda value: f"{value:016x}"),
    blurhash=st.none() | TEXTS,
    palette=st.lists(TEXTS, max_size=6).map(tuple),
    focus=st.none() | st.tuples(FRACTIONS, FRACTIONS),
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
    original=st.none() | METADATA,
    summary=st.none() | SUMMARIES,
    renditions=st.lists(st.builds(Rendition, TEXTS, TEXTS, METADATA, TEXTS), max_size=3).map(tuple),
    revision=NUMBERS,
    exif=st.dictionaries(st.sampled_from(list(map(str, ExifField))), TEXTS, max_size=3).map(
        lambda kept: tuple(kept.items())
    ),
)

OLD_SUMMARY = '{"dominant_colour":"#102030","thumbhash":"aGFzaA==","perceptual_hash":"0123456789abcdef"}'
"""A visual summary as the first rows stored it, without the later fields."""
OLD_RECORD = Record(
    id=image_id("uploads", "old.jpg"),
    bucket="uploads",
    key="old.jpg",
    created_at=NOW,
    updated_at=NOW,
    status=Status.PROCESSED,
    summary=VisualSummary("#102030", "aGFzaA==", "0123456789abcdef"),
    revision=1,
)


def upload(key: str = "photos/cat.jpg", sequencer: str | None = None) -> Upload:
    return Upload("uploads", key, sequencer=sequencer)


def acquire(catalog: Catalog, key: str = "photos/cat.jpg", *, owner: str = "a", now: datetime = NOW) -> Lease:
    return catalog.acquire(upload(key), owner=owner, now=now, duration=LEASE)
