"""On-demand renditions are never stale, whatever happens to the original during rendering."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from image_processor.delivery.on_demand import KnownRoom, OnDemandRenderer, is_on_demand
from image_processor.delivery.policy import Policy
from image_processor.delivery.repository import RenditionRepository
from image_processor.delivery.resolver import RequestResolver
from image_processor.domain.errors import InsufficientStorage, NotFound, Reason, Refused, Unavailable
from image_processor.domain.models import IccPolicy, Limits, UploadKind
from image_processor.domain.transformation import parse
from image_processor.renditions.freshness import SOURCE_FINGERPRINT
from support.ingest import BUCKET, RECIPE, IngestFixture, fake_render, rendition_bytes, upload

KEY, MARK = "cat.jpg", "logos/a.png"
PLAIN = parse("w=11,fm=webp")
MARKED = parse("w=11,over=image:logos~2fa.png,fm=webp")


def marked_render(data, transformations, limits, *, overlay_sources=None, **more):
    """As `fake_render`, with the overlay sources appended to each rendition."""
    rendered = fake_render(data, transformations, limits, overlay_sources=overlay_sources, **more)
    images = tuple(_laid(image, overlay_sources) for image in rendered.renditions)
    return replace(rendered, renditions=images)


def _laid(image, overlay_sources):
    return replace(
        image, body=image.body + b"".join(f"+{body!r}".encode() for body in overlay_sources.values())
    )


class Watched:
    """A store or catalog that reports every call, before and after it."""

    def __init__(self, part, tell):
        self._part, self._tell = part, tell

    def __getattr__(self, name):
        call = getattr(self._part, name)

        def told(*given, **more):
            self._tell()
            result = call(*given, **more)
            result = iter(list(result)) if name in {"list", "scan"} else result
            self._tell()
            return result

        return told


class Intruder:
    """Runs an action at a chosen moment before, between or after calls."""

    def __init__(self, at=None, act=None):
        self.seen, self._at, self._act = 0, at, act

    def __call__(self):
        self.seen += 1
        if self.seen == self._at:
            self._act()


@pytest.fixture
def ingest():
    return ingest_of()


def ingest_of():
    ingest = IngestFixture(render=marked_render)
    ingest.put(KEY, b"cat")
    ingest.put(MARK, b"logo")
    return ingest


def maker_of(ingest, intruder, most=200):
    parts = (Watched(part, intruder) for part in (ingest.uploads, ingest.processed, ingest.catalog))
    kept = RenditionRepository(BUCKET, *parts, IccPolicy.STRIP)
    return OnDemandRenderer(kept, ingest.render, Limits(), lambda _: "public", most)


def wanted_of(transformation, key=KEY):
    reader = RequestResolver(
        RECIPE, Policy(allow_unsigned=True, overlays="logos/"), lambda _: None, lambda: 0.0
    )
    return reader.reference(key, transformation)


def right(ingest, transformation):
    """The expected bytes of a rendition; None without an original."""
    bodies = ingest.uploads.bodies()
    if KEY not in bodies:
        return None
    body = rendition_bytes(bodies[KEY], transformation)
    return body if transformation is PLAIN else body + f"+{bodies[MARK]!r}".encode()


def overwrite(ingest):
    ingest.put(KEY, b"another cat")
    ingest.processor().process(upload(KEY))


def delete(ingest):
    ingest.uploads.delete(KEY)
    ingest.processor().process(upload(KEY, kind=UploadKind.DELETED))


def delete_and_upload(ingest):
    delete(ingest)
    overwrite(ingest)


def change_mark(ingest):
    ingest.put(MARK, b"another logo")


ACTS = (overwrite, delete, delete_and_upload, change_mark)


@pytest.mark.parametrize("transformation", [PLAIN, MARKED], ids=["plain", "marked"])
@pytest.mark.parametrize("act", ACTS, ids=[act.__name__ for act in ACTS])
def test_no_stale_rendition_is_kept_or_served_when_the_original_changes(act, transformation):
    counting = Intruder()
    ingest = ingest_of()
    maker_of(ingest, counting).render(wanted_of(transformation))
    assert counting.seen > 8
    for at in range(1, counting.seen + 1):
        check_one(act, transformation, at)


def check_one(act, transformation, at):
    ingest = ingest_of()
    before = right(ingest, transformation)
    maker = maker_of(ingest, Intruder(at, lambda: act(ingest)))
    resolved = wanted_of(transformation)
    try:
        reported = maker.render(resolved).stored.body
    except NotFound:
        reported = None
    now = right(ingest, transformation)
    assert reported in {before, now}, at  # the answer was right at a moment of its making
    kept = maker_of(ingest, Intruder()).repository
    if now is None:
        assert not list(ingest.processed.bodies()), at
        with pytest.raises(NotFound):
            kept.find(resolved)
        return
    stored = ingest.processed.bodies().get(resolved.stored_key)
    if act is not change_mark:
        assert stored in {None, now}, at
    if kept.find(resolved) is not None:
        assert stored == now, at
    assert maker_of(ingest, Intruder()).render(resolved).stored.body == now
    assert kept.find(resolved) is not None


def test_an_overlay_that_changes_during_rendering_causes_a_retry(ingest):
    """The overlay changes between read and write: the rendition is deleted and rendered again."""
    changes = iter([b"newer logo"])

    def render(*given, **more):
        for body in changes:
            ingest.put(MARK, body)
        return marked_render(*given, **more)

    ingest.render = render
    result = maker_of(ingest, Intruder()).render(wanted_of(MARKED))
    assert result.stored.body.endswith(b"+b'newer logo'")


def test_an_original_that_keeps_changing_is_unavailable(ingest):
    def render(*given, **more):
        ingest.put(KEY, b"cat")
        return fake_render(*given, **more)

    ingest.render = render
    with pytest.raises(Unavailable, match="kept changing"):
        maker_of(ingest, Intruder()).render(wanted_of(PLAIN))
    assert not ingest.processed.bodies()


def test_a_refused_original_is_not_read_again(ingest):
    ingest.put("bad.jpg", b"bad")
    ingest.processor().process(upload("bad.jpg"))
    ingest.render = None
    with pytest.raises(Refused) as caught:
        maker_of(ingest, Intruder()).render(wanted_of(PLAIN, "bad.jpg"))
    assert caught.value.reason is Reason.NOT_AN_IMAGE


@pytest.mark.parametrize("known_room", [None, KnownRoom()], ids=["several servers", "one server"])
def test_on_demand_renditions_are_bounded_declared_ones_do_not_count(ingest, known_room):
    """Promise 39: the oldest is deleted, by time and not by name."""
    ingest.processor().process(upload(KEY))
    declared = set(ingest.processed.bodies())
    maker = replace(maker_of(ingest, Intruder(), most=3), known_room=known_room)
    widths = [300, 20, 1, 4000, 7, 65, 2]
    for count, width in enumerate(widths, 1):
        maker.render(wanted_of(parse(f"w={width},q=5,fm=webp")))
        stored = set(ingest.processed.bodies())
        newest = {f"{KEY}/~w={one},q=5,fm=webp.webp" for one in widths[max(0, count - 3) : count]}
        assert stored == declared | newest
    other = "dog.jpg"
    ingest.put(other, b"dog")
    maker.render(wanted_of(PLAIN, other))
    assert {key for key in ingest.processed.bodies() if key.startswith(KEY)} == stored


def test_one_server_lists_renditions_only_where_there_may_be_too_many(ingest):
    listed, list_ = [], ingest.processed.list
    ingest.processed.list = lambda prefix, **options: listed.append(prefix) or list_(prefix, **options)
    maker_of(ingest, Intruder()).render(wanted_of(parse("w=9,fm=webp")))
    listed.clear()
    maker = replace(maker_of(ingest, Intruder(), most=4), known_room=KnownRoom())
    numbers = []
    for width in range(30, 36):
        maker.render(wanted_of(parse(f"w={width},fm=webp")))
        numbers.append(len(listed))
    assert numbers == [1, 1, 1, 2, 3, 4]
    ingest.put("dog.jpg", b"dog")
    maker.render(wanted_of(PLAIN, "dog.jpg"))
    assert len(listed) == 5
    assert sorted(filter(is_on_demand, ingest.processed.bodies())) == [
        *(f"{KEY}/~w={width},fm=webp.webp" for width in (32, 33, 34, 35)),
        f"dog.jpg/~{PLAIN.name}",
    ]


def test_the_room_of_a_thousand_originals_is_known():
    room = KnownRoom()
    for number in range(1001):
        room.set(str(number), 2)
    assert [room.take(key) for key in ("0", "1", "1", "1", "none")] == [False, True, True, False, False]


def test_rendering_again_evicts_nothing(ingest):
    maker = maker_of(ingest, Intruder(), most=1)
    for _ in range(3):
        maker.render(wanted_of(PLAIN))
        assert [key for key in ingest.processed.bodies() if is_on_demand(key)] == [f"{KEY}/~{PLAIN.name}"]


def test_a_lowered_limit_applies_at_the_next_rendition(ingest):
    for width in range(1, 9):
        maker_of(ingest, Intruder()).render(wanted_of(parse(f"w={width},q=5,fm=webp")))
    maker_of(ingest, Intruder(), most=2).render(wanted_of(PLAIN))
    assert len([key for key in ingest.processed.bodies() if is_on_demand(key)]) == 2


def test_without_room_a_rendition_is_served_and_not_stored(ingest):
    def put(*_, **__):
        raise InsufficientStorage("no space left")

    renderer = maker_of(ingest, Intruder())
    ingest.processed.put = put
    result = renderer.render(wanted_of(PLAIN))
    assert (result.is_stored, result.stored.body) == (False, right(ingest, PLAIN))
    assert ingest.processed.bodies() == {}


def test_a_rendition_carries_its_metadata(ingest):
    result = maker_of(ingest, Intruder()).render(wanted_of(PLAIN))
    attributes = ingest.processed.head(f"{KEY}/~{PLAIN.name}").attributes
    assert (attributes.media_type, attributes.cache_control) == ("image/webp", "public")
    assert attributes.metadata[SOURCE_FINGERPRINT] == maker_of(
        ingest, Intruder()
    ).repository.source_fingerprint(KEY, PLAIN)
    assert set(result.timings) == {"fetch", "decode", "render", "encode", "store"}


def test_the_renderer_is_prepared_before_an_existing_original_is_read_and_not_for_a_missing_one(ingest):
    steps = []

    def read(key, **options):
        steps.append(f"read {key}")
        return get(key, **options)

    get, ingest.uploads.get = ingest.uploads.get, read
    maker = replace(maker_of(ingest, lambda: None), prepare=lambda: steps.append("prepare"))
    maker.render(wanted_of(PLAIN))
    maker.read_metadata(KEY, maker.repository.original_version(KEY))
    assert steps == ["prepare", f"read {KEY}"] * 2
    with pytest.raises(NotFound):
        maker.render(wanted_of(PLAIN, "none.jpg"))
    assert len(steps) == 4
