"""Each exchange with the isolated child has a deadline: a child that is stopped, hangs or sends nonsense is
killed and replaced."""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from isolated_children import GOOD, SLOW_LIMITS, WANTED, Deaf, is_gone, pid_of, rigged, stopped

from image_processor.domain.errors import Reason, Refused, Unavailable
from image_processor.domain.models import Limits
from image_processor.engine.worker import child_process
from image_processor.engine.worker.child_process import ChildProcess
from image_processor.engine.worker.isolation import IsolatedRenderer
from image_processor.engine.worker.renderer_group import RendererGroup


def test_a_hanging_child_is_abandoned() -> None:
    with rigged("signal.pause()") as renderer:
        with pytest.raises(Refused, match=r"expected a reply within 0\.5 s") as refusal:
            renderer.render(GOOD, WANTED, SLOW_LIMITS)
        assert refusal.value.reason is Reason.TOO_SLOW


def test_a_child_that_reads_nothing_does_not_hold_the_parent() -> None:
    """More than a pipe holds is to be sent."""

    with (
        Deaf(timeout_factor=0.5) as renderer,
        pytest.raises(Refused, match=r"expected a reply within 0\.5 s") as refusal,
    ):
        renderer.render(bytes(3_000_000), WANTED, SLOW_LIMITS)
    assert refusal.value.reason is Reason.TOO_SLOW


@pytest.mark.parametrize("size", [len(GOOD), 868_000, 5_000_000], ids=["small", "868 kB", "over a pipe"])
def test_a_stopped_child_is_replaced_and_the_image_rendered(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What follows the end of a JPEG is no part of the image."""
    with IsolatedRenderer() as renderer:
        before = stopped(renderer)
        monkeypatch.setattr(child_process, "_TRANSFER_SECONDS", 2)
        monkeypatch.setattr(child_process, "_STALL_SECONDS", 2)
        rendered = renderer.render(GOOD.ljust(size, b"\0"), WANTED, Limits())
        assert len(rendered.renditions) == 2
        assert pid_of(renderer) != before
    assert is_gone(before)


def test_an_image_that_makes_every_child_stand_still_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_process, "_STALL_SECONDS", 1)
    with rigged("os.kill(os.getpid(), signal.SIGSTOP)") as renderer:
        with pytest.raises(Refused, match="used no CPU time for 1 s") as refusal:
            renderer.render(GOOD, WANTED, Limits())
        assert refusal.value.reason is Reason.TOO_SLOW


def test_a_child_that_computes_does_not_stand_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_process, "_STALL_SECONDS", 1)
    with rigged(
        "import time; end = time.process_time() + 1.5\n    while time.process_time() < end: pass"
    ) as renderer:
        renderer.warm()
        before = pid_of(renderer)
        renderer.render(GOOD, [], Limits())
        assert pid_of(renderer) == before


DRIPPING = (
    "import time\n"
    "    for byte in bytes(6) + b'\\2\\0{{':\n"
    "        os.write(int(sys.argv[2]), bytes([byte])); time.sleep({})"
)
"""The body of a `render` that announces 512 bytes, and sends one now and then."""


@pytest.mark.parametrize("pause", [0.3, 60], ids=["dripping", "half a message"])
def test_a_reply_that_does_not_end_is_refused(pause: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_process, "_TRANSFER_SECONDS", 1)
    with rigged(DRIPPING.format(pause)) as renderer:
        with pytest.raises(Refused, match="a part of it within 1 s") as refusal:
            renderer.render(GOOD, WANTED, Limits())
        assert refusal.value.reason is Reason.TOO_SLOW


def test_no_child_that_reads_the_original_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    """No decoder has seen the image, so it cannot be the reason."""
    monkeypatch.setattr(child_process, "_TRANSFER_SECONDS", 0.5)
    with Deaf() as renderer, pytest.raises(Unavailable, match=r"read the original within 0\.5 s"):
        renderer.render(bytes(3_000_000), WANTED, Limits())


@pytest.mark.parametrize("seconds", [0.5, 600], ids=["the caller's deadline", "the limit of a start"])
def test_a_child_that_stops_while_it_starts(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stopping(IsolatedRenderer):
        _program = "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)"

    monkeypatch.setattr(child_process, "_START_SECONDS", 1)
    with Stopping(until=time.monotonic() + seconds) as renderer:
        renderer.start()
        pid = pid_of(renderer)
        with pytest.raises(Unavailable, match="expected a renderer to start in time"):
            renderer.render(GOOD, WANTED, Limits())
    assert is_gone(pid)


@pytest.mark.parametrize(
    "reply",
    [
        b"[]",
        b"{}",
        b'{"type":"done"}',
        b'{"type":"refused","reason":"nonsense","message":""}',
        b"[" * 100_000,
    ],
)
def test_a_reply_of_another_form_is_a_crash(reply: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_process, "_EXIT_SECONDS", 0.1)
    message = len(reply).to_bytes(8) + reply
    with rigged(f"os.write(int(sys.argv[2]), {message!r}); signal.pause()") as renderer:
        with pytest.raises(Refused) as refusal:
            renderer.render(GOOD, WANTED, Limits())
        assert refusal.value.reason is Reason.DECODER_CRASHED


MADE = (
    b'{{"type":"made","number":{},"metadata":{{"width":1,"height":1,"format":"webp","frames":1,"alpha":false,\
"bytes":1,"sha256":""}}}}'
)
DONE = b'{"type":"done","original":{"width":1,"height":1,"format":"jpeg","frames":1,"alpha":false,"bytes":1,\
"sha256":""},"summary":null,"exif":[],"timings":[0,0,0]}'


@pytest.mark.parametrize("numbers", [(0, 0), (0, 1, 2), (-1, 0), (0,), ()])
def test_other_renditions_than_requested_are_a_crash(
    numbers: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two: one twice, one too many, one that was not requested, one too few, none."""
    monkeypatch.setattr(child_process, "_EXIT_SECONDS", 0.1)
    result = [message for number in numbers for message in (MADE.replace(b"{}", b"%d" % number), b"x")]
    replies = b"".join(len(reply).to_bytes(8) + reply for reply in (*result, DONE))
    with rigged(f"os.write(int(sys.argv[2]), {replies!r}); signal.pause()") as renderer:
        with pytest.raises(Refused) as refusal:
            renderer.render(GOOD, WANTED, Limits())
        assert refusal.value.reason is Reason.DECODER_CRASHED


def test_aborted_renderers_end_their_children_and_start_no_others() -> None:
    """Whatever the children do, and although a dead child is else replaced."""
    group = RendererGroup()
    with group.renderer() as renderer:
        pid = stopped(renderer)
        with group.abort_after(0.2), pytest.raises(Unavailable, match="the program is stopping"):
            renderer.render(GOOD, WANTED, Limits())
        assert is_gone(pid)
        with pytest.raises(Unavailable, match="the program is stopping"):
            renderer.render(GOOD, WANTED, Limits())
    with group.renderer() as late, pytest.raises(Unavailable, match="the program is stopping"):
        late.render(GOOD, WANTED, Limits())


def test_renderers_are_not_aborted_if_all_ends_in_time() -> None:
    group = RendererGroup()
    with group.renderer() as renderer:
        with group.abort_after(60):
            renderer.warm()
        assert renderer.render(GOOD, [], Limits()).original.format == "jpeg"


def test_the_child_of_a_trial_serves_the_first_renderer_or_is_ended() -> None:
    group = RendererGroup()
    assert isinstance(group.try_start(), tuple)
    pid = pid_of(group._tried[0])
    with group.renderer() as first, group.renderer() as second:
        first.warm()
        second.warm()
        assert pid in {pid_of(first), pid_of(second)}
        assert pid_of(first) != pid_of(second)
    assert is_gone(pid)
    group.try_start()
    pid = pid_of(group._tried[0])
    group.close_unused()
    assert is_gone(pid)


def test_renderers_without_room_for_their_child_start_it_later(monkeypatch: pytest.MonkeyPatch) -> None:
    fail_at_call(5, monkeypatch)  # the first pipe of the second child
    group = RendererGroup()
    group.start_idle(3)
    (pid,) = map(pid_of, group._tried)
    assert isinstance(group.try_start(), tuple)
    with group.renderer() as first, group.renderer() as second:
        second.warm()
        assert pid_of(first) == pid
        assert second.render(GOOD, [], Limits()).original.format == "jpeg"


def test_a_trial_that_fails_with_others_is_made_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each child may have room, but not all together."""
    group = RendererGroup()
    group.start_idle(3)
    pids = list(map(pid_of, group._tried))
    wait = ChildProcess.wait_until_ready

    def wait_alone(self: ChildProcess, until: float) -> None:
        if group._tried:
            raise Unavailable("expected a renderer to start, got a decoder that died of SIGKILL")
        wait(self, until)

    monkeypatch.setattr(ChildProcess, "wait_until_ready", wait_alone)
    assert isinstance(group.try_start(), tuple)
    assert all(map(is_gone, pids))
    group.close_unused()


@pytest.mark.parametrize("call", [1, 2, 3, 4], ids=["pipe", "second pipe", "sockets", "program"])
def test_a_child_that_cannot_start_leaves_nothing_open(call: int, monkeypatch: pytest.MonkeyPatch) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    fail_at_call(call, monkeypatch)
    with pytest.raises(Unavailable, match="expected a renderer to start, got Too many open files"):
        IsolatedRenderer().start()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def fail_at_call(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a call that opens descriptors find no room. A child needs four: two pipes, a pair of sockets, and
    the pipe of `subprocess`."""
    calls = count(1)

    def failing(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            if next(calls) == number:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            return function(*args)

        return call

    monkeypatch.setattr(os, "pipe", failing(os.pipe))
    monkeypatch.setattr(socket, "socketpair", failing(socket.socketpair))


def test_an_invalid_reply_is_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hostile image may control the child: the child is ended and its reply is ignored."""
    monkeypatch.setattr(child_process, "_EXIT_SECONDS", 0.1)
    with rigged("os.write(int(sys.argv[2]), bytes(7) + b'\\4nope'); signal.pause()") as renderer:
        with pytest.raises(Refused, match="SIGKILL") as refusal:
            renderer.render(GOOD, WANTED, Limits())
        assert refusal.value.reason is Reason.DECODER_CRASHED


def test_an_endless_reply_is_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_process, "_EXIT_SECONDS", 0.1)
    with rigged("os.write(int(sys.argv[2]), b'\\x7f' * 100); signal.pause()") as renderer:
        with pytest.raises(Refused) as refusal:
            renderer.render(GOOD, WANTED, Limits())
        assert refusal.value.reason is Reason.DECODER_CRASHED
