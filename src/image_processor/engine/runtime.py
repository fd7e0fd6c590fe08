"""Configures libvips for untrusted bytes, and verifies that it worked.

Every other module of the engine relies on `start`: probe, with which each render begins, calls it, and so
do the isolated child and the sample before their first image.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Iterable
from typing import Any

import pyvips

from image_processor.domain.errors import UnsafeRuntime
from image_processor.domain.formats import FORMATS, WRITABLE

from .codecs.codec import Codec
from .codecs.registry import CODECS, is_installed

# Plain text that libvips would read as images, and the smallest image that it must open.
_MATRIX = b"2 1\n3 4\n"
_CSV = b"3,4\n5,6\n"
_GIF = bytes.fromhex("47494638396101000100800000ffffff0000002c00000000010001000002024401003b")

_M_ARENA_MAX = -8  # mallopt(3)
_ARENAS = 2

_GLIB_SERIOUS = 4 | 8  # GLogLevelFlags: errors and criticals

_log = logging.getLogger(__name__)
_lock = threading.Lock()
_started = False
_svg_allowed = False


def start(*, svg: bool = False) -> None:
    """Block every loader of libvips except those in the codec registry, and verify it. Opt-in formats
    are allowed only with ``svg``, until the next call without it.

    Idempotent and thread-safe. Raises UnsafeRuntime where this libvips cannot be made safe.
    """
    global _started, _svg_allowed  # noqa: PLW0603 - libvips' switches are global to the process as well
    with _lock:
        if not _started:
            _require_api_mode()
            _block_other_loaders()
            _verify()
            _tune()
            _started = True
        if svg is not _svg_allowed:
            _set_blocked(_codecs(opt_in=True), blocked=not svg)
            _svg_allowed = svg


def versions() -> dict[str, str]:
    """The versions that decide what the engine can do, for `doctor`."""
    libvips = ".".join(str(pyvips.version(part)) for part in range(3))
    return {
        "libvips": libvips,
        "pyvips": pyvips.__version__,
        "python": ".".join(map(str, sys.version_info[:3])),
    }


def loaders() -> dict[str, bool]:
    """For each format of domain/formats.py, whether it can be read: by this libvips or by its package."""
    return {
        name: bool(_class_name(f"{codec.loader}_source")) if codec.loader else is_installed(codec)
        for name, codec in CODECS.items()
    }


def savers() -> dict[str, bool]:
    """For each writable format, whether this libvips, or its package, has an encoder for it."""
    savers = {name: CODECS[name].saver for name in WRITABLE if is_installed(CODECS[name])}
    found = {name: saver is None or bool(_class_name(f"{saver}_buffer")) for name, saver in savers.items()}
    return {name: found.get(name, False) for name in WRITABLE}


def _require_api_mode() -> None:
    # In ABI mode (no compiled binding) calls are slow, and another libvips of the machine may be used,
    # with unknown loaders.
    if not pyvips.API_mode:
        raise UnsafeRuntime("expected pyvips in API mode (pyvips-binary), got ABI mode")


def _block_other_loaders() -> None:
    if not pyvips.at_least_libvips(8, 13):
        raise UnsafeRuntime("expected libvips 8.13 or newer, which can block loaders, got an older one")
    # libvips' own "untrusted" set would leave loaders open that are well tested but not needed here.
    pyvips.operation_block_set("VipsForeignLoad", True)
    pyvips.operation_block_set("VipsSystem", True)  # it runs a shell command
    _set_blocked(_codecs(opt_in=False), blocked=False)


def _codecs(*, opt_in: bool) -> list[Codec]:
    return [codec for name, codec in CODECS.items() if FORMATS[name].opt_in is opt_in]


def _set_blocked(codecs: Iterable[Codec], *, blocked: bool) -> None:
    for codec in codecs:
        # Of each loader only the class that decode uses: no file name ever reaches one.
        loader = _class_name(f"{codec.loader}_source") if codec.loader else ""
        if loader:
            pyvips.operation_block_set(loader, blocked)


def _verify() -> None:
    """Try it: the switches silently do nothing if a class was renamed."""
    for loader, text in (("matrixload_source", _MATRIX), ("csvload_source", _CSV)):
        if _opens(loader, text):
            raise UnsafeRuntime(f"expected {loader} to be blocked, got an image from plain text")
    if not _opens("gifload_source", _GIF):
        raise UnsafeRuntime("expected gifload_source to be open, got a refusal")


def _opens(loader: str, content: bytes) -> bool:
    try:
        pyvips.Operation.call(loader, pyvips.Source.new_from_memory(content))
    except pyvips.Error:
        return False
    return True


def _class_name(operation: str) -> str:
    """The class of an operation, by which libvips blocks it; empty if this libvips has none."""
    type_id = pyvips.type_find("VipsOperation", operation)
    name: str = pyvips.type_name(type_id) if type_id else ""
    return name


def _tune() -> None:
    # A cached operation would keep an upload's bytes alive, and no operation is repeated.
    pyvips.cache_set_max(0)
    # The encoder threads are the parallelism; libvips' own threads would multiply with them.
    pyvips.concurrency_set(1)
    logging.getLogger("pyvips").setLevel(logging.WARNING)
    pyvips.ffi.def_extern(name="_log_handler_callback")(_log_message)
    _limit_arenas()


def _log_message(_domain: object, level: int, message: Any, _: object) -> None:
    """Log libvips' errors about itself. Its warnings about images are dropped: they quote the file, in any
    number of lines and in bytes that pyvips' own handler cannot decode."""
    if level & _GLIB_SERIOUS:
        _log.error("libvips: %s", ascii(pyvips.ffi.string(message)))


def _limit_arenas() -> None:
    """Do what MALLOC_ARENA_MAX=2 does, for a process that was started without it.

    glibc gives each thread an arena of its own and rarely returns them, so resident memory grows with
    the number of threads. Other C libraries need nothing.
    """
    if "MALLOC_ARENA_MAX" in os.environ:
        return
    import ctypes  # noqa: PLC0415 - with platform, 5 ms of a cold start that the variable saves
    import platform  # noqa: PLC0415 - as above

    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)
