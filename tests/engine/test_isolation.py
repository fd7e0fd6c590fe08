"""A decoder may loop, crash or hang: the original is refused, and the next one is rendered."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from drawing import encoded, flat, opened, photograph
from isolated_children import GOOD, PATIENCE_SECONDS, SLOW, SLOW_LIMITS, WANTED, pid_of, rigged
from msgspec.structs import replace
from test_probe import jpeg_of

from image_processor.domain.errors import Reason, Refused, Unavailable, UnsafeRuntime
from image_processor.domain.models import IccPolicy, Limits, RenderedImage
from image_processor.domain.ports import OriginalFile
from image_processor.domain.transformation import parse
from image_processor.engine.render import render
from image_processor.engine.worker.child_environment import child_environment
from image_processor.engine.worker.isolation import IsolatedRenderer
from image_processor.engine.worker.resource_limits import cpu_seconds_of

NO_TIMEOUT = 600.0
"""The timeout factor of tests of the CPU limit: a busy machine gives a child little CPU time in 10 s."""


@pytest.fixture(scope="module")
def shared() -> Iterator[IsolatedRenderer]:
    with IsolatedRenderer() as renderer:
        yield renderer


@pytest.mark.parametrize("options", [{}, {"summary": False}, {"icc": IccPolicy.EMBED, "threads": 1}])
def test_the_result_equals_render(shared: IsolatedRenderer, options: dict[str, object]) -> None:
    transformations = [*WANTED, WANTED[0], parse("w=50,h=90,fit=contain,bg=102030,fm=png")]
    isolated = shared.render(GOOD, transformations, Limits(), **options)
    assert isolated.timings.decode > 0
    here = render(GOOD, transformations, Limits(), **options)
    assert isolated == replace(here, timings=isolated.timings)


def test_renditions_are_emitted(shared: IsolatedRenderer) -> None:
    handed: list[object] = []
    rendered = shared.render(GOOD, WANTED, Limits(), on_rendition=handed.append)
    assert sorted(map(repr, handed)) == sorted(map(repr, rendered.renditions))


def test_a_rendition_is_emitted_before_the_next_is_made_and_once_although_its_child_is_lost(
    tmp_path: Path,
) -> None:
    """The first child makes one rendition, and waits for its end."""
    once = str(tmp_path / "once")
    start = f"import time; is_first = not os.path.exists({once!r}); open({once!r}, 'w').close()"
    rigging = (
        "send = options['on_rendition']; options['threads'] = 1; "
        "options['on_rendition'] = lambda image: (send(image), is_first and time.sleep(600))"
    )
    emitted: list[RenderedImage] = []

    def kill_first(image: RenderedImage) -> None:
        emitted.append(image)
        if len(emitted) == 1:
            os.kill(pid_of(renderer), signal.SIGKILL)

    with rigged(rigging, start) as renderer:
        rendered = renderer.render(GOOD, WANTED, Limits(), on_rendition=kill_first)
    assert {image.transformation for image in emitted} == set(WANTED)
    assert len(emitted) == 2
    assert [image.transformation for image in rendered.renditions] == WANTED


def test_an_empty_list_of_transformations(shared: IsolatedRenderer) -> None:
    assert shared.render(GOOD, [], Limits()).renditions == ()


def test_a_refusal_is_passed_on_and_the_child_survives(shared: IsolatedRenderer) -> None:
    shared.warm()
    before = pid_of(shared)
    with pytest.raises(Refused, match="expected JPEG, PNG, WebP, AVIF, GIF or TIFF, got PDF") as refusal:
        shared.render(b"%PDF-1.7", WANTED, Limits())
    assert refusal.value.reason is Reason.UNSUPPORTED_FORMAT
    assert shared.render(GOOD, WANTED, Limits()).original.format == "jpeg"
    assert pid_of(shared) == before


def test_limits_reach_the_child(shared: IsolatedRenderer) -> None:
    with pytest.raises(Refused) as refusal:
        shared.render(GOOD, WANTED, Limits(max_pixels=100))
    assert refusal.value.reason is Reason.TOO_MANY_PIXELS


@pytest.mark.parametrize("inherited", [signal.SIG_DFL, signal.SIG_IGN])
def test_a_slow_decode_is_stopped_and_the_next_render_works(inherited: signal.Handlers) -> None:
    before = signal.signal(signal.SIGXCPU, inherited)
    with IsolatedRenderer(timeout_factor=NO_TIMEOUT) as renderer:
        renderer.warm()
        signal.signal(signal.SIGXCPU, before)
        with pytest.raises(Refused, match="expected at most 1 s of CPU time") as refusal:
            renderer.render(SLOW, WANTED, SLOW_LIMITS)
        assert refusal.value.reason is Reason.TOO_SLOW
        assert len(renderer.render(GOOD, WANTED, SLOW_LIMITS).renditions) == 2


def test_the_cpu_limit_applies_to_each_render() -> None:
    """A child may use more CPU in total than for one render."""
    with IsolatedRenderer(timeout_factor=NO_TIMEOUT) as renderer:
        renderer.warm()
        before = pid_of(renderer)
        while cpu_seconds_of(before) < 2.5:
            renderer.render(jpeg_of(100, 1500), [], SLOW_LIMITS)
        assert pid_of(renderer) == before


def test_a_crash_is_refused_after_a_second_try(tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    start = f"starts = open({str(starts)!r}, 'a', buffering=1)"
    with rigged("starts.write('x\\n'); os.kill(os.getpid(), signal.SIGSEGV)", start) as renderer:
        with pytest.raises(Refused, match="a decoder that died of SIGSEGV") as refusal:
            renderer.render(GOOD, WANTED, Limits())
        assert refusal.value.reason is Reason.DECODER_CRASHED
        assert starts.read_text() == "x\nx\n"
        with pytest.raises(Refused):
            renderer.render(GOOD, WANTED, Limits())


def test_a_single_crash_is_retried(tmp_path: Path) -> None:
    once = tmp_path / "once"
    path = repr(str(once))
    start = f"is_second = os.path.exists({path}); open({path}, 'w').close()"
    with rigged("if not is_second: os.kill(os.getpid(), signal.SIGKILL)", start) as renderer:
        assert len(renderer.render(GOOD, WANTED, Limits()).renditions) == 2


def test_a_child_that_was_killed_while_idle_is_replaced() -> None:
    with IsolatedRenderer() as renderer:
        renderer.warm()
        before = pid_of(renderer)
        os.kill(before, signal.SIGKILL)
        assert renderer.render(GOOD, [], Limits()).original.format == "jpeg"
        assert pid_of(renderer) != before


def test_the_memory_limit_of_the_child() -> None:
    """The decoder needs more memory than the header announces: refused at once, and the child survives."""
    with rigged("bytearray(2 * child.MEMORY_BYTES)") as renderer:
        renderer.warm()
        before = pid_of(renderer)
        with pytest.raises(Refused, match="within the memory allowed") as refusal:
            renderer.render(GOOD, WANTED, Limits())
        assert refusal.value.reason is Reason.TOO_MANY_PIXELS
        assert pid_of(renderer) == before


def test_a_failed_allocation_in_a_library_is_too_many_pixels() -> None:
    """A progressive JPEG of 60 megapixels, for whose coefficients libjpeg gets no memory."""
    ingest = "child.resource.setrlimit(child.resource.RLIMIT_DATA, (64 << 20, 64 << 20))"
    with rigged(ingest) as renderer, pytest.raises(Refused) as refusal:
        renderer.render(jpeg_of(2, 8000), WANTED, Limits())
    assert refusal.value.reason is Reason.TOO_MANY_PIXELS


def test_an_encoder_without_memory_is_too_many_pixels() -> None:
    ingest = "child.resource.setrlimit(child.resource.RLIMIT_DATA, (200 << 20, 200 << 20))"
    with rigged(ingest) as renderer, pytest.raises(Refused) as refusal:
        renderer.render(GOOD, [parse("w=6000,enlarge=1,fm=webp")], Limits(), summary=False)
    assert refusal.value.reason is Reason.TOO_MANY_PIXELS


def test_no_reply_is_awaited_after_the_deadline() -> None:
    """The timeout factor would allow minutes; ``until`` allows less."""
    with IsolatedRenderer(timeout_factor=60) as renderer:
        renderer.warm()
        renderer.until = time.monotonic() - 1
        with pytest.raises(Refused, match="expected a reply within 0 s") as refusal:
            renderer.render(SLOW, WANTED, Limits(max_scans=10_000))
        assert refusal.value.reason is Reason.TOO_SLOW


BURNING = """
import resource, sys
from image_processor.engine.worker.resource_limits import cpu_limit
before = resource.getrlimit(resource.RLIMIT_CPU)
with cpu_limit(1):
    assert resource.getrlimit(resource.RLIMIT_CPU) != before
assert resource.getrlimit(resource.RLIMIT_CPU) == before
with cpu_limit(1):
    while True:
        pass
"""


def test_the_kernel_enforces_the_cpu_limit() -> None:
    done = subprocess.run([sys.executable, "-c", BURNING], check=False, capture_output=True)
    assert done.returncode == -signal.SIGXCPU, done.stderr


def test_an_engine_error_is_refused_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    with rigged("1 / 0") as renderer, pytest.raises(Refused) as failure:
        renderer.render(GOOD, WANTED, Limits())
    assert failure.value.reason is Reason.ENGINE_FAILED
    assert "ZeroDivisionError" in caplog.text


def test_a_child_that_cannot_start_is_reported() -> None:
    class Broken(IsolatedRenderer):
        _program = "raise SystemExit(3)"

    with Broken() as renderer, pytest.raises(Unavailable, match="exit code 3"):
        renderer.warm()


def test_a_failed_fork_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(subprocess, "Popen", full)
    with IsolatedRenderer() as renderer, pytest.raises(Unavailable, match="temporarily unavailable"):
        renderer.render(GOOD, WANTED, Limits())


def test_an_unsafe_libvips_is_reported() -> None:
    class Unsafe(IsolatedRenderer):
        _program = (
            "import pyvips\npyvips.API_mode = False\n"
            "from image_processor.engine.worker.child import main\nmain()\n"
        )

    with Unsafe() as renderer, pytest.raises(UnsafeRuntime, match="API mode"):
        renderer.render(GOOD, WANTED, Limits())


def test_the_child_imports_nothing_from_where_it_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)
    with IsolatedRenderer() as renderer:
        assert renderer.render(GOOD, [], Limits()).original.format == "jpeg"


def test_close_ends_the_child_and_render_starts_another() -> None:
    renderer = IsolatedRenderer()
    renderer.close()
    renderer.warm()
    before = pid_of(renderer)
    renderer.close()
    with pytest.raises(ProcessLookupError):
        os.kill(before, 0)
    assert renderer.render(GOOD, [], Limits()).original.format == "jpeg"
    renderer.close()


def test_the_child_leaves_an_interrupt_to_its_parent(shared: IsolatedRenderer) -> None:
    shared.warm()
    before = pid_of(shared)
    os.kill(before, signal.SIGINT)
    assert os.getpgid(before) != os.getpgid(0)
    assert shared.render(GOOD, WANTED, Limits()).original.width == photograph().width
    assert pid_of(shared) == before


def test_the_child_leaves_no_core_file_and_has_few_arenas(shared: IsolatedRenderer) -> None:
    shared.warm()
    process = Path(f"/proc/{pid_of(shared)}")
    core = next(row for row in (process / "limits").read_text().splitlines() if "core file" in row)
    assert core.split()[4:6] == ["0", "0"]
    environment = (process / "environ").read_bytes().split(b"\0")
    assert {b"MALLOC_ARENA_MAX=1", b"VIPS_CONCURRENCY=1"} <= set(environment)


@pytest.mark.parametrize(
    "name", ["IMAGE_PROCESSOR_SIGNING_KEYS", "AWS_SECRET_ACCESS_KEY", "DATABASE_URL", "_X_AMZN_TRACE_ID"]
)
def test_the_child_has_no_secrets_in_its_environment(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "test-secret")
    with IsolatedRenderer() as renderer:
        renderer.start()
        assert b"test-secret" not in Path(f"/proc/{pid_of(renderer)}/environ").read_bytes()


HIDING = """
from ctypes import CDLL
from image_processor.engine.worker.isolation import IsolatedRenderer

PR_GET_DUMPABLE = 3
before = CDLL(None).prctl(PR_GET_DUMPABLE, 0, 0, 0, 0)
with IsolatedRenderer() as renderer:
    renderer.start()
    print(before, CDLL(None).prctl(PR_GET_DUMPABLE, 0, 0, 0, 0))
"""


def test_the_child_is_not_instrumented(monkeypatch: pytest.MonkeyPatch) -> None:
    """`opentelemetry-instrument` starts its threads wherever its folder is on the path."""
    folder = "/site-packages/opentelemetry/instrumentation/auto_instrumentation"
    monkeypatch.setattr(sys, "path", [folder, "/site-packages", *sys.path])
    path = child_environment()["PYTHONPATH"].split(os.pathsep)
    assert folder not in path
    assert "/site-packages" in path


@pytest.mark.skipif(sys.platform != "linux", reason="prctl(2) is Linux's")
def test_the_child_cannot_read_the_memory_and_environment_of_its_parent() -> None:
    """They belong to root in a process that is not dumpable (proc(5), /proc/pid)."""
    done = subprocess.run([sys.executable, "-c", HIDING], capture_output=True, text=True, check=True)
    assert done.stdout == "1 0\n"


def test_a_missed_deadline_of_the_caller_can_be_retried() -> None:
    with IsolatedRenderer(late_is_unavailable=True) as renderer:
        renderer.warm()
        renderer.until = time.monotonic() - 1
        with pytest.raises(Unavailable, match="expected a reply within 0 s"):
            renderer.render(SLOW, WANTED, Limits(max_scans=10_000))
        renderer.until = time.monotonic() + 60
        assert renderer.render(GOOD, [], Limits()).original.format == "jpeg"


def test_start_does_not_wait_for_the_child() -> None:
    class Slow(IsolatedRenderer):
        _program = "import time; time.sleep(0.5); " + IsolatedRenderer._program

    with Slow() as renderer:
        renderer.start()
        assert pid_of(renderer)
        assert renderer.render(GOOD, [], Limits()).original.format == "jpeg"


def test_overlay_images_reach_the_child() -> None:
    marks = {"logos/mark.png": encoded(flat((0, 255, 0), size=(20, 20)))}
    transformations = [parse("over=image:logos~2fmark.png,fm=png")]
    with IsolatedRenderer() as renderer:
        (rendition,) = renderer.render(
            encoded(flat((255, 0, 0))), transformations, Limits(), overlay_sources=marks
        ).renditions
    assert opened(rendition.body).getpixel((20, 20)) == (0, 255, 0)


def file_of(path: Path, data: bytes = GOOD, flags: int = os.O_RDONLY) -> OriginalFile:
    """An original that may not be changed."""
    path.write_bytes(data)
    descriptor = os.open(path, flags)
    before = os.fstat(descriptor).st_size

    def check() -> None:
        if os.fstat(descriptor).st_size != before:
            raise Unavailable("changed")

    return OriginalFile(descriptor, before, check, path.name)


def test_an_original_can_be_a_file(shared: IsolatedRenderer, tmp_path: Path) -> None:
    file = file_of(tmp_path / "original")
    expected = shared.render(GOOD, WANTED, Limits())
    for _ in range(2):  # the second time from the beginning, too
        rendered = shared.render(file, WANTED, Limits())
        assert replace(rendered, timings=expected.timings) == expected


def test_a_file_is_read_again_by_a_second_child(tmp_path: Path) -> None:
    with IsolatedRenderer() as renderer:
        renderer.warm()
        os.kill(pid_of(renderer), signal.SIGKILL)
        assert renderer.render(file_of(tmp_path / "original"), WANTED[:1], Limits()).renditions


def test_nothing_is_made_of_a_file_that_has_changed(tmp_path: Path) -> None:
    file = file_of(tmp_path / "original")
    (tmp_path / "original").write_bytes(GOOD + b"more")
    emitted: list[RenderedImage] = []
    with IsolatedRenderer() as renderer:
        with pytest.raises(Unavailable, match="changed"):
            renderer.render(file, WANTED, Limits(), on_rendition=emitted.append)
        assert renderer.render(GOOD, WANTED, Limits()).renditions
    assert not emitted


def test_a_file_that_cannot_be_read_is_unavailable(shared: IsolatedRenderer, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="Bad file descriptor"):
        shared.render(file_of(tmp_path / "original", flags=os.O_WRONLY), WANTED, Limits())


LARGE = encoded(photograph().resize((3000, 2000)), "jpeg")


@pytest.mark.parametrize("data", [LARGE, GOOD + bytes(30_000_000)], ids=["many pixels", "many bytes"])
def test_an_idle_child_keeps_little_of_what_a_render_took(data: bytes) -> None:
    with IsolatedRenderer() as renderer:
        renderer.render(GOOD, WANTED, Limits())
        before = anonymous_bytes(pid_of(renderer))
        renderer.render(data, [parse("w=1600,fm=avif")], Limits())
        deadline = time.monotonic() + PATIENCE_SECONDS
        while anonymous_bytes(pid_of(renderer)) - before > 15e6:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def anonymous_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("Anonymous:"))
