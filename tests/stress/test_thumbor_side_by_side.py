"""thumbor itself answers the URLs of `tests/delivery/vectors/thumbor.json`: its pixels and ours agree.

`make stress` installs the thumbor of requirements/bench.txt into .venv-bench; where it cannot, the test is
skipped. The bars are 24 dB for 95 % of the URLs, and 30 dB for 90 %.
"""

from __future__ import annotations

import io
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "delivery"))
import peer_urls

_THUMBOR = Path(__file__).parents[2] / ".venv-bench" / "bin" / "thumbor"
_FILTERS = """brightness colorize contrast rgb round_corner quality noise watermark equalize fill sharpen
strip_exif strip_icc grayscale rotate format max_bytes convolution blur saturation max_age background_color
upscale proportion autojpg no_upscale focal stretch"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a thumbor that serves the drawn originals."""
    home = tmp_path_factory.mktemp("thumbor")
    if not _THUMBOR.exists():
        pytest.skip("there is no thumbor in .venv-bench: nothing was compared with it")
    images = home / "images"
    images.mkdir()
    for name in peer_urls.ORIGINALS:
        (images / name).write_bytes(peer_urls.original(name))
    filters = [f"thumbor.filters.{name}" for name in _FILTERS.split()]
    config = home / "thumbor.conf"
    config.write_text(
        f"LOADER = 'thumbor.loaders.file_loader'\nFILE_LOADER_ROOT_PATH = {str(images)!r}\n"
        f"STORAGE = 'thumbor.storages.no_storage'\nALLOW_UNSAFE_URL = True\nQUALITY = 90\nDETECTORS = []\n"
        f"RESPECT_ORIENTATION = True\nFILTERS = {filters!r}\n"
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [_THUMBOR, "--port", str(port), "--conf", config]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _wait_for(port: int) -> None:
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail("expected thumbor to listen within 30 s")


def test_pixels_agree_with_thumbor(server: str) -> None:
    vectors = peer_urls.vectors_of("thumbor")
    found = {vector.url: _psnr(server, vector) for vector in vectors}
    close = [url for url, psnr in found.items() if psnr >= 24]
    closer = [url for url, psnr in found.items() if psnr >= 30]
    worst = sorted((round(psnr, 1), url) for url, psnr in found.items())[:20]
    assert len(close) >= 0.95 * len(vectors), worst
    assert len(closer) >= 0.9 * len(vectors), worst


def _psnr(server: str, vector: peer_urls.Vector) -> float:
    """In dB between thumbor's picture and ours; 99 for equal ones and two refusals, 0 for other sizes."""
    try:
        with urllib.request.urlopen(f"{server}/{vector.url}", timeout=60) as response:
            theirs = Image.open(io.BytesIO(response.read()))
    except urllib.error.HTTPError:
        return 99.0 if peer_urls.verdict_of("thumbor", vector).outcome == "agrees" else 0.0
    if peer_urls.verdict_of("thumbor", vector).outcome != "agrees":
        return 0.0
    ours = peer_urls.picture("thumbor", vector.url)
    difference = _premultiplied(ours) - _premultiplied(theirs)
    error = float((difference**2).mean())
    return 99.0 if error == 0 else 10 * float(np.log10(255**2 / error))


def _premultiplied(image: Image.Image) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    planes = np.asarray(image.convert("RGBA"), dtype=float)
    return planes[..., :3] * planes[..., 3:] / 255
