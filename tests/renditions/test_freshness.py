"""Renditions that are stored: which keys are some, and which of those on demand have the current sources."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from image_processor.domain.models import IccPolicy
from image_processor.domain.ports import Attributes, Entry
from image_processor.domain.transformation import parse
from image_processor.renditions.freshness import (
    BASE_FINGERPRINT,
    RENDERING_VERSION,
    SOURCE_FINGERPRINT,
    filter_fresh,
    fingerprint_metadata,
    is_on_demand,
    is_stale,
    list_renditions,
    source_fingerprint,
)
from image_processor.renditions.urls import object_url
from support.memory_store import MemoryStore

STRIP = IccPolicy.STRIP
PLAIN, MARKED = "~w=9,fm=png.png", "~over=image:logo.png,fm=png.png"
DIGEST = f"~{'0' * 64}.png"
STORED = {"a.jpg/w=9,fm=png.png", f"a.jpg/{PLAIN}"}


@pytest.fixture
def uploads() -> MemoryStore:
    store = MemoryStore()
    store.put("logo.png", b"logo", Attributes())
    return store


@pytest.fixture
def processed() -> MemoryStore:
    return MemoryStore()


def put(store: MemoryStore, name: str, metadata: dict[str, str], **fields: Any) -> Entry:
    return store.put(f"a.jpg/{name}", b"", Attributes(metadata=metadata, **fields))


def test_only_direct_children_with_the_name_of_a_rendition_are_renditions(processed: MemoryStore) -> None:
    for key in (*STORED, "a.jpg", "a.jpg/b.jpg", "a.jpg/b/w=9,fm=png.png", "a.jpgx/w=9,fm=png.png"):
        processed.put(key, b"", Attributes())
    assert {entry.key for entry in list_renditions(processed, "a.jpg")} == STORED


@pytest.mark.parametrize(
    ("key", "on_demand"),
    [(f"a/b.jpg/{PLAIN}", True), ("a/b.jpg/w=9,fm=png.png", False), ("~a/w=9,fm=png.png", False)],
)
def test_the_last_segment_tells_a_rendition_on_demand(key: str, on_demand: bool) -> None:  # noqa: FBT001
    assert is_on_demand(key) is on_demand


def test_a_fingerprint_is_the_digest_of_the_sources() -> None:
    """Stored renditions carry it, so its text is fixed."""
    lines = [f"rendering={RENDERING_VERSION}", "icc=strip", "original=v1", "mark=a@None", "mark=b@v2"]
    overlays = {"b": "v2", "a": None}
    expected = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]
    assert source_fingerprint("v1", STRIP, overlays) == expected
    base = hashlib.sha256("\n".join(lines[:3]).encode()).hexdigest()[:32]
    assert fingerprint_metadata("v1", STRIP, overlays) == {
        SOURCE_FINGERPRINT: expected,
        BASE_FINGERPRINT: base,
    }


def test_other_sources_make_a_rendition_stale(uploads: MemoryStore, processed: MemoryStore) -> None:
    logo = uploads.head("logo.png").entry.version
    put(processed, PLAIN, fingerprint_metadata("v1", STRIP, {}))
    put(processed, MARKED, fingerprint_metadata("v1", STRIP, {"logo.png": logo}))
    put(processed, DIGEST, fingerprint_metadata("v1", STRIP, {"logo.png": logo}))

    def stale(version: str = "v1", icc: IccPolicy = STRIP) -> list[str]:
        names = (PLAIN, MARKED, DIGEST)
        return [name for name in names if is_stale(f"a.jpg/{name}", version, uploads, processed, icc)]

    assert stale() == []
    assert stale("v2") == stale(icc=IccPolicy.PRESERVE) == [PLAIN, MARKED, DIGEST]
    uploads.put("logo.png", b"another", Attributes())
    assert stale() == [MARKED], "a digest does not tell its overlays"


def test_a_given_header_and_transformation_count(uploads: MemoryStore, processed: MemoryStore) -> None:
    logo = uploads.head("logo.png").entry.version
    metadata = {SOURCE_FINGERPRINT: source_fingerprint("v1", STRIP, {"logo.png": logo})}
    key = put(processed, DIGEST, metadata, cache_control="no-store").key
    assert is_stale(key, "v1", uploads, processed, STRIP)
    marked = parse("over=image:logo.png,fm=png")
    assert not is_stale(key, "v1", uploads, processed, STRIP, transformation=marked)
    assert not is_stale(key, "v1", uploads, processed, STRIP, "no-store", marked)
    assert is_stale(key, "v1", uploads, processed, STRIP, "max-age=9", marked)
    assert not is_stale("a.jpg/~w=1,fm=png.png", "v1", uploads, processed, STRIP), "it is not stored"


def test_fresh_renditions_on_demand_are_kept(uploads: MemoryStore, processed: MemoryStore) -> None:
    fresh = put(processed, PLAIN, fingerprint_metadata("v2", STRIP, {}))
    old = put(processed, "~w=8,fm=png.png", fingerprint_metadata("v1", STRIP, {}))
    declared = put(processed, "w=9,fm=png.png", {})
    logo = uploads.head("logo.png").entry.version
    marked = put(processed, MARKED, fingerprint_metadata("v2", STRIP, {"logo.png": logo}))
    stored = [fresh, old, declared, marked]
    assert filter_fresh(stored, "v2", uploads, processed, STRIP) == [fresh, marked]
    assert filter_fresh(stored, None, uploads, processed, STRIP) == [fresh, old, marked]


def test_a_key_with_folders_has_its_name_at_the_end(uploads: MemoryStore, processed: MemoryStore) -> None:
    key = f"photos/2026/a.jpg/{PLAIN}"
    processed.put(key, b"", Attributes(metadata={SOURCE_FINGERPRINT: source_fingerprint("v1", STRIP, {})}))
    assert not is_stale(key, "v1", uploads, processed, STRIP)


@pytest.mark.parametrize(
    ("key", "url"),
    [
        ("a/b c.jpg", "https://x/a/b%20c.jpg"),
        ("a.jpg/w=9,fm=png.png", "https://x/a.jpg/w=9,fm=png.png"),
        ("a/~w=9,fm=png.png", "https://x/a/~w=9,fm=png.png"),
        ("a?b#c%d+e/ä", "https://x/a%3Fb%23c%25d%2Be/%C3%A4"),
        ("a/../b=c,~", "https://x/a%2F..%2Fb=c,~"),
        ("a/./b", "https://x/a%2F.%2Fb"),
        ("a/.../b..", "https://x/a/.../b.."),
    ],
)
def test_a_url_names_the_key_after_normalisation_by_clients(key: str, url: str) -> None:
    assert object_url("https://x", key) == url
