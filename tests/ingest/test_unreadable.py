"""A key that cannot be read is recorded where it can be, and stops no other key."""

from __future__ import annotations

from functools import partial

import pytest
from msgspec.structs import replace

from image_processor.config.recipe import parse_recipe
from image_processor.domain.errors import Reason, Unavailable, Unreadable
from image_processor.domain.keys import image_id, rendition_prefix
from image_processor.domain.models import OutcomeStatus, Status, UploadKind
from image_processor.domain.ports import Attributes
from image_processor.ingest.drift import Drift
from image_processor.ingest.reconcile_run import Checkpoint, run
from image_processor.ingest.verify import Verifier
from support.ingest import BUCKET, OTHER_RECIPE, IngestFixture, RecordingStore, upload

KEYS = ("a.jpg", "b.jpg", "c.jpg")
RENDITION = "b.jpg/w=10,fm=jpeg.jpg"


@pytest.fixture
def ingest():
    ingest = IngestFixture()
    for key in KEYS:
        ingest.put(key, key.encode())
    return ingest


def process_all(ingest):
    for key in KEYS:
        ingest.processor().process(upload(key))
    return ingest


def found(ingest):
    return [(finding.key, finding.drift) for finding in ingest.reconciler().findings()]


def repair(ingest):
    for finding in list(ingest.reconciler().findings()):
        if finding.upload is not None:
            ingest.processor().process(finding.upload)


def deny(store, *keys, error=lambda key: Unreadable(f"{key!r} is denied"), methods=("head", "get", "read")):
    """Make these calls for ``keys`` fail, as they do where the store does not tell a version."""
    for name in methods:
        setattr(store, name, partial(_denied, getattr(store, name), keys, error))


def _denied(really, keys, error, key, *args, **kwargs):
    if key in keys:
        raise error(key)
    return really(key, *args, **kwargs)


class Catalog:
    """A catalog that cannot get one record, although a scan shows it."""

    def __init__(self, catalog, image_id):
        self._catalog, self._image_id = catalog, image_id

    def __getattr__(self, name):
        return getattr(self._catalog, name)

    def get(self, image_id):
        if image_id == self._image_id:
            raise Unavailable("no")
        return self._catalog.get(image_id)


def test_an_upload_is_refused_and_processed_once_it_can_be_read(ingest):
    ingest.uploads.unreadable = {"b.jpg"}
    outcome = ingest.processor().process(upload("b.jpg"))
    assert (outcome.status, outcome.record.reason) == (OutcomeStatus.REFUSED, Reason.UNREADABLE)
    assert ingest.processor().process(upload("b.jpg")).status is OutcomeStatus.UNCHANGED
    ingest.uploads.unreadable = set()
    assert found(ingest)[1] == ("b.jpg", Drift.READABLE)
    repair(ingest)
    ingest.assert_converged()


@pytest.mark.parametrize("denied", ["unreadable", "archived"])
def test_the_search_goes_on_and_records_the_key_once(ingest, denied):
    setattr(ingest.uploads, denied, {"b.jpg"})
    findings = list(ingest.reconciler().findings())
    assert [(finding.key, finding.drift) for finding in findings] == [
        ("a.jpg", Drift.MISSING),
        ("b.jpg", Drift.UNREADABLE),
        ("c.jpg", Drift.MISSING),
    ]
    assert "denied" in findings[1].detail
    repair(ingest)
    assert ingest.record("b.jpg").reason is Reason.UNREADABLE
    ingest.uploads = RecordingStore(ingest.uploads)
    (finding,) = ingest.reconciler().findings()
    assert (finding.key, finding.drift, finding.upload) == ("b.jpg", Drift.UNREADABLE, None)
    assert "get" not in ingest.uploads.calls, "a sweep reads a byte and not the whole original"


@pytest.mark.parametrize("denied", ["unreadable", "archived"])
@pytest.mark.parametrize("kind", [UploadKind.CREATED, UploadKind.RECONCILE])
def test_renditions_of_this_version_are_kept(ingest, denied, kind):
    process_all(ingest)
    before = ingest.processed.bodies()
    setattr(ingest.uploads, denied, {"b.jpg"})
    assert ingest.processor().process(upload("b.jpg", kind=kind)).status is OutcomeStatus.UNCHANGED
    with pytest.raises(Unreadable):
        ingest.processor().process(upload("b.jpg", kind=UploadKind.REPROCESS))
    ingest.recipe = OTHER_RECIPE
    assert dict(found(ingest))["b.jpg"] is Drift.UNREADABLE
    repair(ingest)
    assert {key for key in before if key.startswith("b")} <= ingest.processed.bodies().keys()
    setattr(ingest.uploads, denied, set())
    repair(ingest)
    ingest.assert_converged()


def test_an_unreadable_new_version_replaces_the_renditions_by_a_refusal(ingest):
    process_all(ingest)
    ingest.put("b.jpg", b"new")
    ingest.uploads.unreadable = {"b.jpg"}
    assert ingest.processor().process(upload("b.jpg")).status is OutcomeStatus.REFUSED
    assert not any(key.startswith("b.jpg/") for key in ingest.processed.bodies())


def test_what_cannot_be_looked_at_does_not_count_as_deleted(ingest):
    """As the originals in a folder that may not be searched: they are not listed either."""
    process_all(ingest)
    before = ingest.processed.bodies()
    listed = ingest.uploads.list
    ingest.uploads.list = lambda *args, **more: (e for e in listed(*args, **more) if e.key != "b.jpg")
    deny(ingest.uploads, "b.jpg")
    assert found(ingest) == [("b.jpg", Drift.UNREADABLE)]
    outcome = ingest.processor().process(upload("b.jpg", kind=UploadKind.DELETED))
    assert outcome.status is OutcomeStatus.UNCHANGED
    assert ingest.processed.bodies() == before


@pytest.mark.parametrize("error", [lambda _: Unavailable("bad sector"), lambda _: Unreadable("denied")])
def test_a_rendition_that_fails_is_passed_over(ingest, error):
    process_all(ingest)
    key = rendition_prefix("b.jpg") + "~w=33,fm=webp.webp"
    ingest.processed.put(key, b"on demand", Attributes())
    ingest.put("c.jpg", b"new")
    deny(ingest.processed, key, error=error)
    assert found(ingest) == [("b.jpg", Drift.UNREADABLE), ("c.jpg", Drift.CHANGED)]


def test_an_original_whose_reading_fails_is_passed_over(ingest):
    deny(ingest.uploads, "b.jpg", error=lambda _: Unavailable("bad sector"))
    assert found(ingest) == [
        ("a.jpg", Drift.MISSING),
        ("b.jpg", Drift.UNREADABLE),
        ("c.jpg", Drift.MISSING),
    ]


def test_a_record_whose_reading_fails_is_passed_over(ingest):
    process_all(ingest)
    ingest.uploads.delete("b.jpg")
    ingest.uploads.delete("c.jpg")
    ingest.catalog = Catalog(ingest.catalog, image_id(BUCKET, "b.jpg"))
    assert sorted(found(ingest)) == [("b.jpg", Drift.UNREADABLE), ("c.jpg", Drift.ORPHANED)]


@pytest.mark.parametrize(("side", "method"), [("uploads", "head"), ("processed", "list"), ("catalog", "get")])
def test_a_store_that_is_down_stops_the_search(ingest, side, method):
    process_all(ingest)
    ingest.put("b.jpg", b"new")

    def fail(*_args, **_kwargs):
        raise Unavailable("no disk")

    setattr(getattr(ingest, side), method, fail)
    with pytest.raises(Unavailable, match="no disk"):
        found(ingest)


def test_an_orphan_that_cannot_be_deleted_does_not_stop_the_run(ingest):
    process_all(ingest)
    keys = [f"{key}/~w=33,fm=webp.webp" for key in KEYS]
    for key in keys:
        ingest.processed.put(key, b"stale", Attributes())
    deny(ingest.processed, keys[1], error=lambda _: Unavailable("held by a lock"), methods=("delete",))
    (first, *_), (*_, last) = zip(*run(ingest.reconciler(), new_run(ingest), lambda _: None), strict=True)
    assert ingest.processed.bodies().keys() & set(keys) == {keys[1]}
    assert (last.found, last.deleted) == ({"stale": 3, "unreadable": 1}, 2)
    assert first.findings[-1] == replace(first.findings[-1], key=keys[1], detail="held by a lock")


def new_run(ingest):
    return Checkpoint(BUCKET, ingest.now)


def test_verify_passes_over_what_it_cannot_read(ingest):
    process_all(ingest)
    deny(ingest.processed, RENDITION, methods=("read",))
    deny(ingest.processed, RENDITION.replace("b", "c"), error=lambda _: Unavailable("no"), methods=("read",))
    verifier = Verifier(BUCKET, ingest.uploads, ingest.processed, ingest.catalog, ingest.recipe)
    findings = {finding.key: finding for finding in verifier.findings()}
    assert {key: finding.drift for key, finding in findings.items()} == {
        "b.jpg": Drift.DAMAGED,
        "c.jpg": Drift.UNREADABLE,
    }
    assert findings["b.jpg"].upload.kind is UploadKind.REPROCESS


def test_an_unreadable_overlay_changes_nothing_that_exists(ingest):
    ingest.recipe = parse_recipe(
        '[presets.marked]\nwidth = 10\nformats = ["webp"]\noverlays = [{image = "logo.png"}]\n'
        '[[rules]]\nmatch = "*.jpg"\npresets = ["marked"]'
    )
    ingest.put("logo.png", b"logo")
    process_all(ingest)
    before = ingest.processed.bodies()
    ingest.uploads.unreadable = {"logo.png"}
    ingest.put("d.jpg", b"new")
    repair(ingest)
    assert ingest.record("d.jpg").reason is Reason.UNREADABLE
    assert ingest.processed.bodies() == before
    assert found(ingest) == [("d.jpg", Drift.UNREADABLE)]
    ingest.uploads.unreadable = set()
    repair(ingest)
    assert ingest.record("d.jpg").status is Status.PROCESSED
    deny(ingest.uploads, "logo.png")  # now without its version
    assert {drift for _, drift in found(ingest)} == {Drift.UNREADABLE}
