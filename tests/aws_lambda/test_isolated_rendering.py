"""`deliver` and `api` decode in a child process that has none of their secrets and ends before they must."""

from __future__ import annotations

import os
import signal
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from image_processor.aws.retries import Deadline
from image_processor.bootstrap.aws import open_aws_context
from image_processor.bootstrap.isolated import IsolatedRendering
from image_processor.domain.errors import Unavailable
from image_processor.domain.models import Limits
from image_processor.domain.transformation import parse
from image_processor.engine.worker.isolation import IsolatedRenderer

BUCKETS = {"IMAGE_PROCESSOR_UPLOAD_BUCKET": "uploads", "IMAGE_PROCESSOR_PROCESSED_BUCKET": "processed"}
KEYS = {
    "IMAGE_PROCESSOR_SIGNING_KEYS": "a:correct-horse-battery-staple",
    "AWS_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": "id",
    "AWS_SECRET_ACCESS_KEY": "key",
}


def _jpeg() -> bytes:
    file = BytesIO()
    Image.effect_noise((16, 12), 50).save(file, "jpeg")
    return file.getvalue()


GOOD = _jpeg()
# On every kernel.
COMPLETE = """
from image_processor.engine.worker import child, sandbox
sandbox.enter = lambda: ()
child.main()
"""


def children() -> set[str]:
    """The process ids of this process's children."""
    tasks = Path("/proc/self/task").glob("*/children")
    return {pid for task in tasks for pid in task.read_text().split()}


@pytest.fixture
def deadline() -> Deadline:
    return Deadline()


def test_a_rendering_that_misses_the_deadline_can_be_retried_and_the_next_one_works(
    deadline: Deadline,
) -> None:
    rendering = IsolatedRendering(deadline)
    deadline.set(0.5)
    with pytest.raises(Unavailable, match="expected a renderer to start in time"):
        rendering.render(GOOD, [parse("w=6,fm=webp")], Limits())
    deadline.set(60)
    assert len(rendering.render(GOOD, [parse("w=6,fm=webp")], Limits()).renditions) == 1


def test_a_stopped_child_is_a_503_before_the_deadline_and_the_next_rendering_works(
    deadline: Deadline,
) -> None:
    rendering = IsolatedRendering(deadline)
    deadline.set(60)
    rendering.render(GOOD, [], Limits())
    os.kill(rendering._renderer._child.pid, signal.SIGSTOP)
    deadline.set(3)
    with pytest.raises(Unavailable, match="expected a reply within"):
        rendering.render(GOOD.ljust(3_000_000, b"\0"), [], Limits())
    assert deadline.remaining > 0
    deadline.set(60)
    assert rendering.render(GOOD, [], Limits()).original.format == "jpeg"


def test_what_the_sandbox_lacks_is_logged_once(
    deadline: Deadline, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(IsolatedRenderer, "sandbox_gaps", ("files are open: no Landlock",))
    rendering = IsolatedRendering(deadline)
    for _ in range(2):
        rendering.render(GOOD, [], Limits())
    assert caplog.messages == ["renderers are not fully sandboxed: files are open: no Landlock"]


@pytest.mark.parametrize(
    ("isolated", "sandbox", "child_count"), [(True, "auto", 1), (False, "auto", 0), (False, "required", 1)]
)
def test_one_child_serves_all_renderings_of_a_function_that_holds_secrets(
    isolated: bool,  # noqa: FBT001 - a column
    sandbox: str,
    child_count: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(IsolatedRenderer, "_program", COMPLETE)
    monkeypatch.setenv("IMAGE_PROCESSOR_SANDBOX", sandbox)
    for name, value in {**BUCKETS, **KEYS}.items():
        monkeypatch.setenv(name, value)
    before = children()
    context = open_aws_context(isolated=isolated)
    context.prepare()
    for _ in range(2):
        assert context.render(GOOD, [], Limits(), summary=False).original.format == "jpeg"
    pids = children() - before
    programs = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids]
    assert sum(b"engine.worker" in program for program in programs) == child_count
    for pid, program in zip(pids, programs, strict=True):
        if b"worker.child" in program:
            assert b"correct-horse" not in Path(f"/proc/{pid}/environ").read_bytes()
