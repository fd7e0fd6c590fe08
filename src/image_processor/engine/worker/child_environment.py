"""What an isolated child gets to see: environment variables without secrets, and not its parent's memory."""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path

_INHERITED = frozenset({"PATH", "HOME", "LANG", "LANGUAGE", "TZ", "TMPDIR"})

_INHERITED_PREFIXES = ("LC_", "LD_", "DYLD_", "PYTHON", "VIPS_", "G_", "FONTCONFIG_", "XDG_", "MALLOC_")
"""The variables that the interpreter, libvips and its libraries read. Others, such as signing keys and
credentials, stay out of reach of a decoder that an upload has taken over."""

_MALLOC = {
    # One, so that an encoder takes what another one has freed: with two, a child that makes ten renditions of
    # 12 megapixels again and again grows to 240 MB instead of 160, and takes a little more CPU time.
    "MALLOC_ARENA_MAX": "1",
    # mallopt(3): the largest values that glibc itself would choose, from the start. With small ones each
    # image pays a fifth more for fresh pages. The child returns memory when it has been idle for a moment.
    "MALLOC_MMAP_THRESHOLD_": str(32 * 1024**2),
    "MALLOC_TRIM_THRESHOLD_": str(128 * 1024**2),
}
"""How the C library of the child holds memory."""

_INSTRUMENTATION = "auto_instrumentation"
"""The folder with which `opentelemetry-instrument` starts threads in every Python program that has it on its
path."""


def child_environment() -> dict[str, str]:
    """The child's environment: no secrets, and what libraries read once, when they load."""
    path = os.pathsep.join(entry for entry in sys.path if entry and Path(entry).name != _INSTRUMENTATION)
    # NumPy and OpenCV each contain an OpenBLAS, which reserves up to 140 MiB for every core of the
    # machine; that counts towards the child's memory limit.
    one_thread = {"VIPS_CONCURRENCY": "1", "OPENBLAS_NUM_THREADS": "1"}
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _INHERITED or name.startswith(_INHERITED_PREFIXES)
    }
    return kept | one_thread | _MALLOC | {"PYTHONPATH": path}


_PR_SET_DUMPABLE = 4


@cache
def hide_memory() -> None:
    """Keep the child, which has the same user, from reading this process's environment and memory.

    With PR_SET_DUMPABLE 0 they belong to root (prctl(2), proc(5)), so this does not help a process of root.
    """
    if sys.platform != "linux":
        return
    from ctypes import CDLL  # noqa: PLC0415 - where a child is started only

    CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
