"""Decoded originals that isolated renderers share: each version by itself, and none outlives its original."""

from __future__ import annotations

import fcntl
import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from drawing import encoded, photograph
from isolated_children import rigged
from msgspec import MsgspecError

from image_processor.domain.errors import Reason, Refused
from image_processor.domain.models import Limits
from image_processor.domain.ports import OriginalFile
from image_processor.domain.transformation import parse
from image_processor.engine.decoded_originals import DecodedOriginalKey
from image_processor.engine.render import render
from image_processor.engine.worker import child_process, messages
from image_processor.engine.worker.decoded_files import (
    IDLE_SECONDS,
    DecodedCounts,
    DecodedFiles,
    NewPixels,
    file_version,
)
from image_processor.engine.worker.isolation import IsolatedRenderer

PHOTOGRAPH = encoded(photograph("astronaut.png"), "jpeg")
PIXELS = 512 * 512 * 3
"""Bytes of pixels of the photograph, decoded to be shown 400 wide."""
KEY = DecodedOriginalKey(1, 0, "warning")


@pytest.fixture(autouse=True)
def _files_are_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of this test may be kept as if they had not changed for ten seconds."""
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 10)


@pytest.fixture
def original(tmp_path: Path) -> Path:
    path = tmp_path / "a.jpg"
    path.write_bytes(PHOTOGRAPH)
    return path


@pytest.fixture(scope="module")
def renderers() -> Iterator[tuple[IsolatedRenderer, IsolatedRenderer]]:
    with IsolatedRenderer() as first, IsolatedRenderer() as second:
        yield first, second


def opened(path: Path, key: str = "a.jpg") -> OriginalFile:
    return OriginalFile(os.open(path, os.O_RDONLY), path.stat().st_size, lambda: None, key)


def render_twice(renderer: IsolatedRenderer, decoded: DecodedFiles, path: Path) -> None:
    """From the second rendition on pixels are kept."""
    renderer.decoded = decoded
    for width in (400, 401):
        renderer.render(opened(path), [parse(f"w={width}")], Limits(), summary=False)


def test_a_renderer_uses_what_another_one_has_decoded(
    original: Path, tmp_path: Path, renderers: tuple[IsolatedRenderer, IsolatedRenderer]
) -> None:
    decoded = DecodedFiles(tmp_path, 8 * PIXELS)
    seen = []
    for renderer, text in zip(renderers * 2, ("w=400", "w=401,fm=webp", "w=402", "w=403"), strict=True):
        renderer.decoded = decoded
        (made,) = renderer.render(opened(original), [parse(text)], Limits(), summary=False).renditions
        assert made.body == render(PHOTOGRAPH, [parse(text)], Limits(), summary=False).renditions[0].body
        seen.append(decoded.counts())
    assert seen == [
        DecodedCounts(0, 0, found=0, decoded=1),
        DecodedCounts(1, PIXELS, found=0, decoded=2),
        DecodedCounts(1, PIXELS, found=1, decoded=2),
        DecodedCounts(1, PIXELS, found=2, decoded=2),
    ]


def test_a_header_alone_is_no_use(
    original: Path, tmp_path: Path, renderers: tuple[IsolatedRenderer, IsolatedRenderer]
) -> None:
    renderer = renderers[0]
    renderer.decoded = decoded = DecodedFiles(tmp_path, 8 * PIXELS)
    for _ in range(3):
        renderer.render(opened(original), [], Limits(), summary=False)
    assert decoded.counts() == DecodedCounts()


def test_a_child_gets_files_without_a_name_that_it_cannot_write(
    original: Path, tmp_path: Path, renderers: tuple[IsolatedRenderer, IsolatedRenderer]
) -> None:
    decoded = DecodedFiles(tmp_path, 8 * PIXELS)
    render_twice(renderers[0], decoded, original)
    (file,) = decoded.of(opened(original)).files.values()
    assert fcntl.fcntl(file.descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
    assert os.fstat(file.descriptor).st_nlink == 0
    assert sorted(tmp_path.iterdir()) == [original]


CHANGE_PIXELS = """
def change(kept):
    for descriptor in kept._descriptors.values():
        for attempt in (
            lambda: os.write(descriptor, b"1"),
            lambda: os.ftruncate(descriptor, 0),
            lambda: os.open(f"/proc/self/fd/{descriptor}", os.O_RDWR),
        ):
            try:
                attempt()
            except OSError:
                continue
            raise AssertionError
"""


def test_a_child_in_its_sandbox_cannot_change_pixels(original: Path, tmp_path: Path) -> None:
    decoded = DecodedFiles(tmp_path, 8 * PIXELS)
    with rigged("change(options['kept'])", CHANGE_PIXELS) as renderer:
        renderer.warm()
        if renderer.sandbox_gaps:
            pytest.skip("this system has no whole sandbox")
        render_twice(renderer, decoded, original)
        renderer.render(opened(original), [parse("w=402")], Limits(), summary=False)
    assert decoded.counts().found == 1


@pytest.mark.parametrize("change", ["another file", "in place", "just now"])
def test_other_versions_are_others(
    original: Path,
    tmp_path: Path,
    renderers: tuple[IsolatedRenderer, IsolatedRenderer],
    change: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decoded = DecodedFiles(tmp_path, 8 * PIXELS)
    render_twice(renderers[0], decoded, original)
    times = original.stat().st_mtime_ns
    if change == "another file":
        original = tmp_path / "b.jpg"
    if change == "just now":
        monkeypatch.undo()
    original.write_bytes(PHOTOGRAPH)
    os.utime(original, ns=(times, times))  # as programs do that copy times
    assert not decoded.of(opened(original)).files


def test_a_file_that_changed_just_now_has_no_version(original: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may change again within a tick of the clock that its times are read from."""
    file = opened(original)
    before = file_version(file.descriptor)
    assert before is not None
    assert file_version(file.descriptor) == before
    monkeypatch.undo()
    assert file_version(file.descriptor) is None


@pytest.mark.parametrize("change", ["deleted", "replaced", "changed"])
def test_what_is_decoded_of_an_original_that_is_gone_by_then_is_not_kept(
    original: Path, tmp_path: Path, change: str
) -> None:
    decoded = DecodedFiles(tmp_path, 8 * PIXELS)
    kept = decoded.of(opened(original))
    new = NewPixels(KEY, _written(decoded, PIXELS))
    kept.finish(None, new)
    assert decoded.counts().files == 1
    kept = decoded.of(opened(original))
    if change == "deleted":
        original.unlink()
    elif change == "replaced":
        (tmp_path / "b").write_bytes(b"2")
        (tmp_path / "b").rename(original)
    else:
        with original.open("r+b") as file:
            file.write(b"2")
    decoded.drop("a.jpg")
    kept.finish(None, new)
    assert decoded.counts().files == 0


def test_what_is_put_just_after_its_original_was_deleted_is_not_kept(
    original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deletion comes between the last look at the original and the put, which `drop` does not see."""
    decoded = DecodedFiles(tmp_path, 8 * PIXELS)
    kept = decoded.of(opened(original))
    put = decoded.put

    def put_late(*args: Any) -> None:
        original.unlink()
        decoded.drop("a.jpg")
        put(*args)

    monkeypatch.setattr(decoded, "put", put_late)
    kept.finish(None, NewPixels(KEY, _written(decoded, PIXELS)))
    assert decoded.counts() == DecodedCounts(decoded=1)


def _written(decoded: DecodedFiles, size: int, given: int | None = None):
    def receive(file: int | None) -> bool:
        return file is not None and os.write(file, bytes(size if given is None else given)) > 0

    return decoded.write(receive, size)


def test_a_file_that_is_shorter_than_announced_is_not_kept(tmp_path: Path) -> None:
    assert _written(DecodedFiles(tmp_path, PIXELS), 1000, 999) is None


def test_a_child_decodes_where_a_file_is_too_short(
    original: Path, tmp_path: Path, renderers: tuple[IsolatedRenderer, IsolatedRenderer]
) -> None:
    decoded = DecodedFiles(tmp_path, 8 * PIXELS)
    decoded.of(opened(original)).finish(None, NewPixels(KEY, _written(decoded, PIXELS - 1)))
    render_twice(renderers[0], decoded, original)
    assert decoded.counts() == DecodedCounts(1, PIXELS, found=1, decoded=2)


def test_pixels_that_would_take_much_of_the_allowed_memory_are_not_kept(
    original: Path, tmp_path: Path, renderers: tuple[IsolatedRenderer, IsolatedRenderer]
) -> None:
    renderer, decoded = renderers[0], DecodedFiles(tmp_path, 2**30)
    renderer.decoded = decoded
    enough = 64 * 1024**2
    original.write_bytes(encoded(photograph("astronaut.png").resize((2400, 1200)), "jpeg"))
    for max_memory in (enough, enough, 2 * enough):
        assert decoded.counts().files == 0
        limits = Limits(max_memory=max_memory)
        renderer.render(opened(original), [parse("w=2300")], limits, summary=False)
    assert decoded.counts().bytes == 2400 * 1200 * 3


@pytest.mark.parametrize("fault", ["no room", "no folder", "full"])
def test_without_room_renditions_are_made_and_nothing_is_kept(
    original: Path, tmp_path: Path, renderers: tuple[IsolatedRenderer, IsolatedRenderer], fault: str
) -> None:
    folder = tmp_path / "gone" if fault == "no folder" else tmp_path
    decoded = DecodedFiles(folder, 8 * PIXELS, has_room=lambda: fault != "no room")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        if fault == "full":
            resource.setrlimit(resource.RLIMIT_FSIZE, (PIXELS // 2, hard))
        render_twice(renderers[0], decoded, original)
        child = renderers[0]._child
        render_twice(renderers[0], decoded, original)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert decoded.counts() == DecodedCounts(0, 0, found=0, decoded=4)
    assert renderers[0]._child is child, "the child is not lost"


def _kept(decoded: DecodedFiles, *paths: Path, size: int = 1000) -> None:
    for path in paths:
        path.write_bytes(b"1")
        decoded.of(opened(path, path.name)).finish(None, NewPixels(KEY, _written(decoded, size)))


def _names(decoded: DecodedFiles, *paths: Path) -> list[str]:
    return [path.name for path in paths if decoded.of(opened(path, path.name)).files]


def test_the_ones_used_least_recently_are_dropped(tmp_path: Path) -> None:
    decoded = DecodedFiles(tmp_path, 2500)
    paths = [tmp_path / name for name in "abc"]
    _kept(decoded, *paths[:2])
    decoded.of(opened(paths[0])).finish(KEY, None)
    _kept(decoded, paths[2])
    assert _names(decoded, *paths) == ["a", "c"]
    assert decoded.counts().bytes == 2000


@pytest.mark.parametrize(("options", "count"), [({}, 256), ({"max_files": 7}, 7)], ids=["usual", "fewer"])
def test_there_are_no_more_files_than_may_be_open(
    tmp_path: Path, options: dict[str, int], count: int
) -> None:
    decoded = DecodedFiles(tmp_path, 2**30, **options)
    before = len(list(Path("/proc/self/fd").iterdir()))
    _kept(decoded, *(tmp_path / str(number) for number in range(300)))
    assert decoded.counts().files == count
    assert len(list(Path("/proc/self/fd").iterdir())) - before == count


def test_pixels_that_nobody_uses_expire(tmp_path: Path) -> None:
    now = [0.0]
    decoded = DecodedFiles(tmp_path, 10_000, clock=lambda: now[0])
    paths = [tmp_path / name for name in "ab"]
    _kept(decoded, *paths)
    now[0] = IDLE_SECONDS - 1
    decoded.expire()
    decoded.of(opened(paths[0])).finish(KEY, None)
    now[0] = IDLE_SECONDS + 1
    decoded.expire()
    assert _names(decoded, *paths) == ["a"]


def test_pixels_are_dropped_under_each_name_of_a_file(tmp_path: Path) -> None:
    decoded = DecodedFiles(tmp_path, 10_000)
    path = tmp_path / "a"
    _kept(decoded, path, tmp_path / "b")
    decoded.of(opened(path, "link to a"))
    decoded.drop("link to a")
    assert decoded.counts() == DecodedCounts(1, 1000, decoded=2)


@pytest.mark.parametrize(
    "start",
    [
        "child._Pixels.accepts = lambda self, count: True",
        "child.messages.Decoded = lambda key, count: real_decoded(key, count + 1)",
        "child.messages.Decoded = lambda key, count: real_decoded(key, -count)",
        "pyramid.DecodedOriginalKey = lambda *_: real_key(9, 0, 'none')",
        "pyramid.DecodedOriginalKey = lambda *_: real_key(1, 0, 17 * 'n')",
    ],
    ids=["too many bytes", "another length", "a negative length", "a shrink of 9", "a long name"],
)
def test_a_child_that_sends_other_pixels_than_it_may_is_ended(
    original: Path, tmp_path: Path, start: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_process, "_EXIT_SECONDS", 0.1)
    names = (
        "from image_processor.engine import pyramid\n"
        "real_decoded, real_key = child.messages.Decoded, pyramid.DecodedOriginalKey\n"
    )
    decoded = DecodedFiles(tmp_path, 8 * PIXELS - 8 if "accepts" in start else 8 * PIXELS)
    with rigged("pass", names + start) as renderer, pytest.raises(Refused) as refusal:
        render_twice(renderer, decoded, original)
    assert refusal.value.reason is Reason.DECODER_CRASHED
    assert decoded.counts().files == 0


def test_keys_are_small() -> None:
    with pytest.raises(MsgspecError):
        messages.decode_reply(b'{"type":"decoded","key":{"shrink":1,"first":-1,"fail_on":"none"},"count":1}')


def test_a_thousand_originals_are_remembered(tmp_path: Path) -> None:
    decoded = DecodedFiles(tmp_path, 8000)
    paths = [tmp_path / str(number) for number in range(1001)]
    for path in paths:
        path.write_bytes(b"1")
        assert not decoded.of(opened(path)).wants(KEY, 1000)
    assert [decoded.of(opened(path)).wants(KEY, 1000) for path in (paths[1000], paths[0])] == [True, False]


def test_pixels_are_wanted_once_and_at_once_where_others_wait(original: Path, tmp_path: Path) -> None:
    decoded = DecodedFiles(tmp_path, 8000)
    decoded.is_awaited = lambda key: key == "a.jpg"
    first, second = decoded.of(opened(original)), decoded.of(opened(original))
    assert first.wants(KEY, 1000)
    first.finish(None, NewPixels(KEY, _written(decoded, 1000)))
    assert not second.wants(KEY, 1000)
    (tmp_path / "b.jpg").write_bytes(b"1")
    assert not decoded.of(opened(tmp_path / "b.jpg", "b.jpg")).wants(KEY, 1000)
