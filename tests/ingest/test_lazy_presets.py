"""Lazy presets: ingest leaves their renditions to the first view, and keeps what views have made of the
current original."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from image_processor.config.recipe import Recipe, parse_recipe
from image_processor.delivery.on_demand import OnDemandRenderer
from image_processor.delivery.policy import Policy
from image_processor.delivery.repository import RenditionRepository
from image_processor.delivery.request import HttpRequest
from image_processor.delivery.resolver import RequestResolver
from image_processor.domain.models import IccPolicy, OutcomeStatus, UploadKind
from image_processor.domain.ports import Attributes
from image_processor.domain.transformation import parse
from image_processor.ingest import drift
from image_processor.ingest import plan as plan_module
from image_processor.ingest import process as process_module
from image_processor.ingest.drift import Drift
from image_processor.ingest.plan import plan_upload
from image_processor.ingest.verify import Verifier
from image_processor.renditions.freshness import fingerprint_metadata
from support.ingest import BUCKET, IngestFixture, rendition_bytes, upload

TEXT = """
[presets.thumbnail]
width = 10
formats = ["webp"]
[presets.large]
widths = [10, 20, 30]
formats = ["webp"]
eager = false
[presets.hidden]
width = 40
formats = ["webp"]
eager = false
public = false
[[rules]]
match = "views/**"
presets = ["large"]
[[rules]]
match = "**"
presets = ["thumbnail", "large", "hidden"]
"""
RECIPE = parse_recipe(TEXT)
EAGER = parse_recipe(TEXT.replace("eager = false", "eager = true"))
THUMBNAIL, LAZY, PRIVATE = (
    f"cat.jpg/{name}" for name in ("w=10,fm=webp.webp", "w=20,fm=webp.webp", "~w=40,fm=webp.webp")
)
LONG = "k" * 701


@pytest.fixture
def ingest() -> IngestFixture:
    ingest = IngestFixture(recipe=RECIPE)
    ingest.put("cat.jpg", b"cat")
    ingest.processor().process(upload("cat.jpg"))
    return ingest


def view(ingest: IngestFixture, path: str = LAZY, maximum: int = 200) -> bytes:
    """Open a rendition by its path, as the server and *deliver* do; it is made unless it is stored."""
    repository = RenditionRepository(
        BUCKET, ingest.uploads, ingest.processed, ingest.catalog, IccPolicy.STRIP
    )
    policy = Policy(allow_unsigned=True, renditions_per_original=maximum)
    resolver = RequestResolver(ingest.recipe, policy, lambda _: None, lambda: 0.0)  # type: ignore[arg-type, return-value]
    ref = resolver.resolve(HttpRequest("GET", path))
    assert not ref.is_eager
    renderer = OnDemandRenderer(
        repository,
        ingest.render,
        ingest.limits,
        lambda _: ingest.cache_control,
        maximum,
        lazy_for=ingest.recipe.lazy_for,
    )
    stored = repository.find(ref) or renderer.render(ref).stored
    body: bytes = ingest.processed.get(stored.entry.key).body
    return body


def found(ingest: IngestFixture) -> list[tuple[str, Drift, str | None]]:
    return [(item.key, item.drift, item.orphan) for item in ingest.reconciler().findings()]


def process(ingest: IngestFixture, **more: Any) -> OutcomeStatus:
    return ingest.processor().process(upload("cat.jpg", **more)).status


def test_only_eager_renditions_are_made_at_upload(ingest: IngestFixture) -> None:
    assert list(ingest.processed.bodies()) == [THUMBNAIL]
    assert found(ingest) == []
    assert process(ingest) is OutcomeStatus.UNCHANGED


def test_an_upload_with_lazy_presets_only_gets_a_record_without_renditions(ingest: IngestFixture) -> None:
    ingest.put("views/cat.jpg", b"cat")
    ingest.processor().process(upload("views/cat.jpg"))
    record = ingest.record("views/cat.jpg")
    assert record is not None
    assert (record.status, record.renditions, record.processed) == ("processed", (), None)
    assert record.original is not None
    assert record.summary is not None
    assert found(ingest) == []


@pytest.mark.parametrize("key", [LAZY, PRIVATE])
def test_the_first_view_makes_a_rendition_that_stays(ingest: IngestFixture, key: str) -> None:
    body = view(ingest, key)
    assert ingest.processed.bodies() == {
        THUMBNAIL: rendition_bytes(b"cat", parse("w=10,fm=webp")),
        key: body,
    }
    assert found(ingest) == []
    assert process(ingest) is OutcomeStatus.UNCHANGED
    version = ingest.processed.head(key).entry.version
    assert view(ingest, key) == body
    assert ingest.processed.head(key).entry.version == version


@pytest.mark.parametrize("key", [LAZY, PRIVATE])
@pytest.mark.parametrize("body", [b"another", b"bad"])
def test_a_changed_original_deletes_what_views_made(ingest: IngestFixture, key: str, body: bytes) -> None:
    view(ingest, key)
    ingest.put("cat.jpg", body)
    process(ingest)
    ingest.assert_converged()
    if body != b"bad":
        assert b"another" in view(ingest, key)


def test_a_view_before_the_event_makes_a_rendition_that_processing_keeps(ingest: IngestFixture) -> None:
    view(ingest)
    ingest.put("cat.jpg", b"another")
    result = view(ingest)
    assert b"another" in result
    process(ingest)
    assert ingest.processed.bodies()[LAZY] == result
    assert found(ingest) == []


def test_a_deleted_original_deletes_what_views_made(ingest: IngestFixture) -> None:
    view(ingest)
    view(ingest, PRIVATE)
    ingest.uploads.delete("cat.jpg")
    assert found(ingest) == [("cat.jpg", Drift.ORPHANED, None)]
    process(ingest, kind=UploadKind.DELETED)
    assert ingest.processed.bodies() == {}


def test_a_view_of_an_original_that_changes_meanwhile_stores_nothing_old(ingest: IngestFixture) -> None:
    stored: list[bytes] = []
    put, render = ingest.processed.put, ingest.render

    def watched(key: str, body: bytes, *args: Any, **more: Any) -> Any:
        stored.append(body)
        return put(key, body, *args, **more)

    def changing(data: bytes, *args: Any, **more: Any) -> Any:
        if data == b"cat":
            ingest.put("cat.jpg", b"another")
        return render(data, *args, **more)

    ingest.processed.put, ingest.render = watched, changing
    assert stored == [view(ingest)] == [rendition_bytes(b"another", parse("w=20,fm=webp"))]


def test_a_late_view_of_an_earlier_version_is_found_and_deleted(ingest: IngestFixture) -> None:
    view(ingest)
    old = ingest.processed.get(LAZY)
    ingest.put("cat.jpg", b"another")
    process(ingest)
    ingest.processed.put(LAZY, old.body, old.attributes)  # its function ended before it could delete it
    assert found(ingest) == [("cat.jpg", Drift.STALE, LAZY)]
    assert b"another" in view(ingest)
    assert found(ingest) == []


def test_a_changed_cache_control_deletes_what_views_made(ingest: IngestFixture) -> None:
    view(ingest)
    ingest.cache_control = "public, max-age=1"
    process(ingest)
    ingest.assert_converged()
    ingest.recipe = replace(
        RECIPE, rules=(replace(RECIPE.rules[0], cache_control="no-cache"), RECIPE.rules[1])
    )
    ingest.put("views/cat.jpg", b"cat")
    view(ingest, "views/cat.jpg/w=20,fm=webp.webp")
    assert ("views/cat.jpg", Drift.MISSING, None) in found(ingest)


def test_new_renditions_on_request_include_lazy_ones(ingest: IngestFixture) -> None:
    view(ingest)
    assert process(ingest, kind=UploadKind.REPROCESS) is OutcomeStatus.PROCESSED
    ingest.assert_converged()


@pytest.mark.parametrize("corrected", [True, False])
def test_an_upgrade_that_corrects_an_original_makes_its_lazy_renditions_anew(
    ingest: IngestFixture,
    monkeypatch: pytest.MonkeyPatch,
    corrected: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    view(ingest)
    for module in (drift, process_module):
        monkeypatch.setattr(module, "is_corrected", lambda *_, **__: corrected)
    monkeypatch.setattr(plan_module, "_CORRECTIONS", "corrections=99")
    monkeypatch.setattr(drift, "uncorrected_fingerprints", lambda _: (ingest.record("cat.jpg").fingerprint,))
    expected = OutcomeStatus.PROCESSED if corrected else OutcomeStatus.UNCHANGED
    assert process(ingest) is expected
    assert (LAZY in ingest.processed.bodies()) is not corrected


def test_a_preset_that_becomes_lazy_loses_its_renditions_until_they_are_viewed(ingest: IngestFixture) -> None:
    ingest.recipe = EAGER
    process(ingest)
    assert set(ingest.processed.bodies()) >= {THUMBNAIL, LAZY, PRIVATE}
    ingest.recipe = RECIPE
    assert found(ingest) == [("cat.jpg", Drift.STALE, None)]
    process(ingest)
    assert list(ingest.processed.bodies()) == [THUMBNAIL]
    ingest.assert_converged()


def test_a_preset_that_becomes_eager_gets_its_renditions(ingest: IngestFixture) -> None:
    view(ingest)
    ingest.recipe = EAGER
    assert found(ingest) == [("cat.jpg", Drift.STALE, None)]
    process(ingest)
    ingest.assert_converged()
    assert LAZY in ingest.expected()


def test_another_eager_preset_keeps_what_views_made(ingest: IngestFixture) -> None:
    view(ingest)
    ingest.recipe = parse_recipe(TEXT.replace("width = 10\n", "width = 15\n"))
    assert process(ingest) is OutcomeStatus.PROCESSED
    assert sorted(ingest.processed.bodies()) == ["cat.jpg/w=15,fm=webp.webp", LAZY]


def test_a_repair_keeps_what_views_made_also_of_an_original_that_was_corrected_before(
    ingest: IngestFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    view(ingest)
    monkeypatch.setattr(process_module, "is_corrected", lambda *_, **__: True)
    ingest.processed.delete(THUMBNAIL)
    assert process(ingest) is OutcomeStatus.PROCESSED
    assert sorted(ingest.processed.bodies()) == [THUMBNAIL, LAZY]


def test_a_removed_lazy_preset_leaves_nothing_behind(ingest: IngestFixture) -> None:
    view(ingest)
    ingest.recipe = parse_recipe(TEXT.replace("[10, 20, 30]", "[10, 30]"))
    assert found(ingest) == [("cat.jpg", Drift.DAMAGED, None)]
    process(ingest)
    ingest.assert_converged()


def test_a_new_lazy_preset_makes_nothing_stale() -> None:
    def fingerprint(recipe: Recipe) -> str:
        return plan_upload("cat.jpg", recipe, IccPolicy.STRIP).fingerprint

    without = TEXT.replace(', "hidden"]', "]").replace(
        '\n[presets.hidden]\nwidth = 40\nformats = ["webp"]\neager = false\npublic = false', ""
    )
    assert fingerprint(parse_recipe(without)) == fingerprint(RECIPE)
    # A record of the version before this option has the digest of exactly these lines.
    assert fingerprint(EAGER) == "ebc13dfd7705f56b0ae8b2fc2a21c0cc"


def test_a_long_key_gets_all_renditions_at_upload(ingest: IngestFixture) -> None:
    ingest.put(LONG, b"long")
    ingest.processor().process(upload(LONG))
    assert len(RECIPE.eager_for(LONG)) == 4
    assert RECIPE.lazy_for(LONG) == {}
    ingest.assert_converged()


def test_lazy_renditions_do_not_count_against_the_limit_of_undeclared_ones(ingest: IngestFixture) -> None:
    for path in (PRIVATE, LAZY, "cat.jpg/w=30,fm=webp.webp"):
        view(ingest, path, maximum=1)
    first, second = (f"cat.jpg/~w={width},fm=webp.webp" for width in (50, 51))
    for path in (first, second):
        view(ingest, path, maximum=1)
    assert {PRIVATE, LAZY} <= set(ingest.processed.bodies())
    assert first not in ingest.processed.bodies()
    ingest.processed.delete(LAZY)
    view(ingest, LAZY, maximum=1)
    assert second in ingest.processed.bodies()


def test_damage_of_what_a_view_made_is_found_and_the_next_view_repairs_it(ingest: IngestFixture) -> None:
    body = view(ingest)
    stored = ingest.processed._objects[LAZY]
    verifier = Verifier(BUCKET, ingest.uploads, ingest.processed, ingest.catalog, ingest.recipe)
    assert list(verifier.findings()) == []
    ingest.processed._objects[LAZY] = replace(stored, body=b"x" + body[1:])
    (finding,) = verifier.findings()
    assert (finding.drift, finding.orphan) == (Drift.DAMAGED, LAZY)
    ingest.processed.delete(LAZY)
    assert view(ingest) == body


@pytest.mark.parametrize(
    "note", ["", "x" * 250], ids=["by its name", "by the recipe, as the name is a digest"]
)
def test_an_overlay_of_a_lazy_preset_makes_only_its_renditions_stale(note: str) -> None:
    notes = f', {{ text = "{note}" }}' if note else ""
    text = TEXT.replace("width = 40\n", f'width = 40\noverlays = [{{ image = "logo.png" }}{notes}]\n')
    ingest = IngestFixture(recipe=parse_recipe(text))
    ingest.put("cat.jpg", b"cat")
    ingest.put("logo.png", b"logo")
    for key in ("cat.jpg", "logo.png"):
        ingest.processor().process(upload(key))
    (path,) = (key for key in ingest.recipe.lazy_for("cat.jpg") if "~" in key)
    view(ingest, LAZY)
    sources = fingerprint_metadata(
        ingest.uploads.head("cat.jpg").entry.version,
        IccPolicy.STRIP,
        {"logo.png": ingest.uploads.head("logo.png").entry.version},
    )
    ingest.processed.put(path, b"made", Attributes("image/webp", ingest.cache_control, sources))
    assert found(ingest) == []
    ingest.put("logo.png", b"another logo")
    ingest.processor().process(upload("logo.png"))
    assert found(ingest) == [("cat.jpg", Drift.STALE, path)]
