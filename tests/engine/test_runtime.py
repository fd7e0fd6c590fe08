"""libvips is made safe, or the program does not start."""

from __future__ import annotations

import logging
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import pyvips
from drawing import encoded, flat, photograph

from image_processor.domain.errors import Refused
from image_processor.domain.formats import FORMATS, WRITABLE
from image_processor.domain.models import Limits
from image_processor.domain.transformation import parse
from image_processor.engine import runtime
from image_processor.engine.render import render

# Formats that libvips would open by default; none is accepted.
FOREIGN = {
    "matrix": b"2 1\n3 4\n",
    "csv": b"3,4\n5,6\n",
    "ppm": b"P6 1 1 255\n\1\2\3",
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg' width='1' height='1'/>",
    "pdf": b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>",
    "radiance": b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 1 +X 1\n\1\2\3\4",
    "fits": b"SIMPLE  =                    T".ljust(2880),
}


ONLY_BLOCKS = """
block = pyvips.operation_block_set
pyvips.operation_block_set = lambda name, state: block(name, state) if state else None
"""


def run(script: str) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter, since libvips' switches are global to a process."""
    command = [sys.executable, "-W", "error", "-c", script]
    environment = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.mark.parametrize("data", FOREIGN.values(), ids=FOREIGN)
def test_libvips_itself_opens_nothing_else(data: bytes, tmp_path: Path) -> None:
    runtime.start()
    path = tmp_path / "upload"
    path.write_bytes(data)
    with pytest.raises(pyvips.Error):
        pyvips.Image.new_from_buffer(data, "")
    with pytest.raises(pyvips.Error):
        pyvips.Image.new_from_source(pyvips.Source.new_from_memory(data), "")
    with pytest.raises(pyvips.Error):
        pyvips.Image.new_from_file(str(path))


@pytest.mark.parametrize("loader", ["matrixload_source", "csvload_source", "vipsload_source"])
def test_a_blocked_loader_says_so_even_when_named(loader: str) -> None:
    runtime.start()
    with pytest.raises(pyvips.Error, match="blocked"):
        pyvips.Operation.call(loader, pyvips.Source.new_from_memory(b"2 1\n3 4\n"))


def test_no_loader_takes_a_file_name(tmp_path: Path) -> None:
    runtime.start()
    for suffix in ("png", "jpg", "v"):
        path = tmp_path / f"upload.{suffix}"
        pyvips.Image.black(4, 4).write_to_file(str(path))
        with pytest.raises(pyvips.Error):
            pyvips.Image.new_from_file(str(path))


def test_no_shell_command_can_be_run() -> None:
    runtime.start()
    with pytest.raises(pyvips.Error, match="blocked"):
        pyvips.Operation.call("system", "true")


def test_every_format_of_the_table_opens() -> None:
    runtime.start()
    for name in (name for name, entry in FORMATS.items() if entry.always_read):
        source = pyvips.Source.new_from_memory(encoded(flat("red"), name))
        assert pyvips.Image.new_from_source(source, "").width == 40


def test_start_tunes_libvips() -> None:
    runtime.start()
    runtime.start()
    assert pyvips.cache_get_max() == 0
    assert pyvips.concurrency_get() == 1


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has arenas")
def test_threads_share_two_arenas_of_memory() -> None:
    """By malloc_info(3): without the limit each of the eight threads would have its own arena."""
    script = """
import ctypes, threading
from image_processor.engine import runtime
from image_processor.engine.render import render
from image_processor.domain.errors import Refused
runtime.start()
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fdopen.restype = ctypes.c_void_p
meeting = threading.Barrier(8)
def allocate():
    meeting.wait()
    libc.malloc(ctypes.c_size_t(5000))
threads = [threading.Thread(target=allocate) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
stdout = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, stdout)
libc.fflush(stdout)
"""
    assert 1 <= run(script).stdout.count("<heap nr=") <= 2


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("pyvips.operation_block_set = lambda *_: None", "expected matrixload_source to be blocked"),
        (ONLY_BLOCKS, "expected gifload_source to be open"),
        ("pyvips.API_mode = False", "expected pyvips in API mode"),
        ("pyvips.at_least_libvips = lambda *_: False", "expected libvips 8.13 or newer"),
    ],
)
def test_an_unsafe_libvips_does_not_start(fault: str, expected: str) -> None:
    script = f"import pyvips\n{fault}\nfrom image_processor.engine import runtime\nruntime.start()\n"
    finished = run(script)
    assert finished.returncode == 1
    assert f"UnsafeRuntime: {expected}" in finished.stderr


def test_starting_prints_nothing() -> None:
    script = "from image_processor.engine import runtime; runtime.start(); runtime.start()"
    finished = run(script)
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "", "")


def test_the_first_use_makes_libvips_safe() -> None:
    script = (
        "import pyvips\n"
        "from image_processor.engine.codecs.probe import probe\n"
        "from image_processor.domain.errors import Refused\n"
        "from image_processor.domain.models import Limits\n"
        "try: probe(b'', Limits())\n"
        "except Refused: pass\n"
        "pyvips.Image.new_from_buffer(b'2 1\\n3 4\\n', '')\n"
    )
    assert "pyvips.error.Error" in run(script).stderr


def test_versions_loaders_and_savers() -> None:
    assert runtime.loaders() == dict.fromkeys(FORMATS, True)
    assert runtime.savers() == dict.fromkeys(WRITABLE, True)
    versions = runtime.versions()
    assert versions["pyvips"] == pyvips.__version__
    assert versions["libvips"].split(".")[:2] == [str(pyvips.version(0)), str(pyvips.version(1))]


def test_libvips_messages_about_images_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    data = bytearray(encoded(photograph()))
    data[data.index(b"IDAT") + 200] ^= 1
    with pytest.raises(Refused):
        render(bytes(data), [parse("w=20,fm=png")], Limits())
    assert caplog.text == ""
    said = pyvips.ffi.new("char[]", b"broken \xff\n")
    runtime._log_message(pyvips.ffi.NULL, 16, said, pyvips.ffi.NULL)
    assert caplog.text == ""
    runtime._log_message(pyvips.ffi.NULL, 8, said, pyvips.ffi.NULL)
    assert caplog.messages == ["libvips: b'broken \\xff\\n'"]


def test_pyvips_does_not_log_operations() -> None:
    runtime.start()
    assert not logging.getLogger("pyvips").isEnabledFor(logging.INFO)
    assert logging.getLogger("pyvips").isEnabledFor(logging.WARNING)
