"""Makes libvips safe for untrusted bytes, or refuses to go on.

Every other module of the engine trusts that `start` has run: probe, with which each render begins,
calls it, and so do the isolated child and the sample before their first picture.
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
from image_processor.domain.formats import FORMATS, WRITABLE, Format

from .codecs import optional_decoders as outside

# Plain text that libvips takes for pictures, and the smallest picture that it must open.
_MATRIX = b"2 1\n3 4\n"
_CSV = b"3,4\n5,6\n"
_GIF = bytes.fromhex("47494638396101000100800000ffffff0000002c00000000010001000002024401003b")

_M_ARENA_MAX = -8  # mallopt(3)
_ARENAS = 2

_G_LOG_SERIOUS = 4 | 8  # glib's GLogLevelFlags: errors and criticals

_log = logging.getLogger(__name__)
_lock = threading.Lock()
_started = False
_draws_svg = False


def start(*, svg: bool = False) -> None:
    """Block every loader of libvips but the allow-list of formats.py, and prove it. What is opt-in
    there is let in too with ``svg``, until the next call without it.

    Idempotent and thread-safe. Raises UnsafeRuntime where this libvips cannot be made safe.
    """
    global _started, _draws_svg  # noqa: PLW0603 - as libvips' switches, global to the process
    with _lock:
        if not _started:
            _require_api_mode()
            _block_all_but_ours()
            _verify()
            _tune()
            _started = True
        if svg is not _draws_svg:
            _set_blocked([entry for entry in FORMATS.values() if entry.opt_in], blocked=not svg)
            _draws_svg = svg


def versions() -> dict[str, str]:
    """The versions that decide what the engine can do, for `doctor`."""
    libvips = ".".join(str(pyvips.version(part)) for part in range(3))
    return {
        "libvips": libvips,
        "pyvips": pyvips.__version__,
        "python": ".".join(map(str, sys.version_info[:3])),
    }


def loaders() -> dict[str, bool]:
    """For each format of formats.py, whether it can be read: by this libvips or by its package."""
    return {
        name: bool(_class_of(f"{entry.loader}_source")) if entry.loader else outside.is_there(entry)
        for name, entry in FORMATS.items()
    }


def savers() -> dict[str, bool]:
    """For each format that can be put out, whether this libvips has an encoder for it."""
    return {name: bool(_class_of(f"{FORMATS[name].saver}_buffer")) for name in WRITABLE}


def _require_api_mode() -> None:
    # In ABI mode (no compiled binding) calls are slow, and some other libvips of the machine
    # may have been found, with loaders that nobody chose.
    if not pyvips.API_mode:
        raise UnsafeRuntime("expected pyvips in API mode (pyvips-binary), got ABI mode")


def _block_all_but_ours() -> None:
    if not pyvips.at_least_libvips(8, 13):
        raise UnsafeRuntime("expected libvips 8.13 or newer, which can block loaders, got an older one")
    # libvips' own "untrusted" set would leave loaders open that are well tested but of no use here.
    pyvips.operation_block_set("VipsForeignLoad", True)
    pyvips.operation_block_set("VipsSystem", True)  # it runs a shell command
    _set_blocked([entry for entry in FORMATS.values() if not entry.opt_in], blocked=False)


def _set_blocked(formats: Iterable[Format], *, blocked: bool) -> None:
    for entry in formats:
        # Of each loader only the class that decode uses: no file name ever reaches one.
        loader = _class_of(f"{entry.loader}_source") if entry.loader else ""
        if loader:
            pyvips.operation_block_set(loader, blocked)


def _verify() -> None:
    """Try it: the switches do nothing, silently, if a class was renamed."""
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


def _class_of(operation: str) -> str:
    """The class behind an operation's name, which blocking goes by; empty if there is none."""
    found = pyvips.type_find("VipsOperation", operation)
    name: str = pyvips.type_name(found) if found else ""
    return name


def _tune() -> None:
    # A cached operation would keep an upload's bytes alive, and no operation comes twice.
    pyvips.cache_set_max(0)
    # Parallelism comes from our own encoder threads; libvips' would multiply with them.
    pyvips.concurrency_set(1)
    logging.getLogger("pyvips").setLevel(logging.WARNING)
    pyvips.ffi.def_extern(name="_log_handler_callback")(_hear)
    _limit_arenas()


def _hear(_domain: object, level: int, message: Any, _: object) -> None:
    """Log what libvips says of itself. What it says of pictures, mostly warnings, is not: it quotes
    them, in lines of any number and in bytes that pyvips' own listener breaks at."""
    if level & _G_LOG_SERIOUS:
        _log.error("libvips: %s", ascii(pyvips.ffi.string(message)))


def _limit_arenas() -> None:
    """What MALLOC_ARENA_MAX=2 does, for a process that has started without it.

    glibc gives each thread an arena of its own and rarely returns them, so that resident
    memory grows with the number of threads. Elsewhere than on glibc there is nothing to do.
    """
    if "MALLOC_ARENA_MAX" in os.environ:
        return
    import ctypes  # noqa: PLC0415 - with platform, 5 ms of a cold start that the variable saves
    import platform  # noqa: PLC0415 - as above

    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)
