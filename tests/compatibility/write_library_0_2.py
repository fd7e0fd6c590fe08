"""Writes library_0_2/ with the code of 0.2.0: `write_library_0_2.py CHECKOUT`, a checkout of it.

Its server gets uploads, requests and a webhook that nobody answers. The archive is the data directory as that
version leaves it, and expected.json what it answered. It was run once; a released format never changes.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
from PIL import Image

OUTPUT = Path(__file__).parent / "library_0_2"
SIGNED = ("photos/a.jpg?w=10&blur=2&fm=png", "private/c.webp?w=20&fm=png")
PUBLIC = ("none.jpg/w=1,fm=png.png", "photos/a.jpg/w=16,fm=jpeg.jpg", "photos/a.jpg?w=16&fm=png")
LAZY = "photos/a.jpg/w=12,fm=webp.webp"
HEADERS = ("cache-control", "content-type", "content-disposition", "etag", "link", "x-content-type-options")


def gradient(width: int, height: int, mode: str = "RGB", shift: int = 0) -> Image.Image:
    image = Image.new(mode, (width, height))
    for x in range(width):
        for y in range(height):
            pixel = (x * 255 // width, y * 255 // height, 90 + shift, 40 + x * 200 // width)
            image.putpixel((x, y), pixel[: len(mode)])
    return image


def encoded(kind: str, image: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def originals() -> Mapping[str, tuple[bytes, str]]:
    """Files that are processed in different ways, and two that are refused."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Maker", 6
    frames = [gradient(24, 16, shift=40 * n) for n in range(3)]
    return {
        "photos/a.jpg": (encoded("JPEG", gradient(60, 40), exif=exif), "image/jpeg"),
        "logo über 1.png": (encoded("PNG", gradient(48, 32, "RGBA")), "image/png"),
        "private/c.webp": (encoded("WEBP", gradient(40, 40)), "image/webp"),
        "moving.gif": (
            encoded("GIF", frames[0], save_all=True, append_images=frames[1:], duration=80),
            "image/gif",
        ),
        "a//odd": (encoded("PNG", gradient(40, 30)), "image/png"),
        "broken.jpg": (encoded("JPEG", gradient(50, 40))[:300], "image/jpeg"),
        "notes.txt": (b"no image\n", "text/plain"),
    }


class Version:
    """0.2.0 over a data directory."""

    def __init__(self, checkout: Path, data: Path) -> None:
        self.environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(checkout / "src"),
            "IMAGE_PROCESSOR_DATA": str(data),
            "IMAGE_PROCESSOR_RECIPE": str(OUTPUT / "recipe.toml"),
            "IMAGE_PROCESSOR_SIGNING_KEYS": "a:an-old-secret-of-thirty-two-bytes",
            "IMAGE_PROCESSOR_EXIF": "make,orientation",
            "IMAGE_PROCESSOR_DIALECTS": "thumbor,imgproxy,dit",
            "IMAGE_PROCESSOR_SERVER_PROCESSES": "1",
            "IMAGE_PROCESSOR_WEBHOOK_URL": "http://127.0.0.1:1/hooks",
            "IMAGE_PROCESSOR_WEBHOOK_SECRET": "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz",
        }
        where = "import image_processor as p; print(p.__version__, p.__file__)"
        version, file = self._python("-c", where).split()
        assert version == "0.2.0", f"expected a checkout of 0.2.0, got {version}"
        assert Path(file).is_relative_to(checkout), f"expected code of {checkout}, got {file}"

    def _python(self, *arguments: str) -> str:
        command = [sys.executable, *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=True)
        return done.stdout

    def run(self, *arguments: str) -> str:
        return self._python("-m", "image_processor", *arguments)

    @contextmanager
    def served(self, port: int) -> Iterator[httpx.Client]:
        command = [sys.executable, "-m", "image_processor", "serve", "--port", str(port)]
        with subprocess.Popen(command, env=self.environment) as server:
            try:
                with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:
                    wait_for(lambda: is_healthy(http))
                    yield http
            finally:
                server.send_signal(signal.SIGINT)
        assert server.returncode == 0


def use(http: httpx.Client) -> None:
    """Upload everything, set a focus, and view a lazy rendition."""
    for key, (body, media_type) in originals().items():
        headers = {"content-type": media_type, "prefer": "wait=20"}
        answer = http.put(f"/uploads/{quote(key)}", content=body, headers=headers)
        assert answer.status_code in {200, 201, 415, 422}, answer.text
    http.put(f"/images/{focused(http)['id']}/focus", json={"x": 0.25, "y": 0.75}).raise_for_status()
    wait_for(lambda: focused(http)["status"] == "processed" and not http.get("/health").json()["backlog"])
    http.get(f"/renditions/{LAZY}").raise_for_status()


def images(http: httpx.Client) -> Any:
    return http.get("/images", params={"limit": 50}).json()


def answers(http: httpx.Client, version: Version) -> dict[str, Any]:
    listed = images(http)
    stored = [row["key"] for image in listed["images"] for row in image["renditions"]]
    urls = [f"/renditions/{quote(key, safe='/=,~:')}" for key in stored]
    urls += [f"/renditions/{url}" for url in (LAZY, *PUBLIC, *(sign(version, url) for url in SIGNED))]
    urls += ["/images/none", "/unsafe/10x0/photos/a.jpg"]
    return {
        "images": listed,
        "image": {row["id"]: http.get(f"/images/{row['id']}").json() for row in listed["images"]},
        "list": [json.loads(line) for line in version.run("list", "--json").splitlines()],
        "urls": {url: answer(http.get(url)) for url in sorted(set(urls))},
    }


def sign(version: Version, url: str) -> str:
    """The URL with its signature, without what precedes the key."""
    signed = version.run("sign", url).strip()
    return signed[signed.index(url.partition("?")[0]) :]


def answer(response: httpx.Response) -> dict[str, Any]:
    is_problem = response.headers["content-type"] == "application/problem+json"
    return {
        "status": response.status_code,
        "headers": {name: response.headers[name] for name in HEADERS if name in response.headers},
        "problem": response.json()["code"] if is_problem else None,
        "sha256": None if is_problem else hashlib.sha256(response.content).hexdigest(),
    }


def main(checkout: str) -> None:
    with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        data = Path(folder) / "data"
        version = Version(Path(checkout).resolve(), data)
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        with version.served(port) as http:
            use(http)
            expected = answers(http, version)
        waiting = version.run("events", "list", "--json").splitlines()
        expected["events"] = [json.loads(line)["event"] for line in waiting]
        expected["times"] = {
            path.relative_to(data).as_posix(): path.stat().st_mtime_ns
            for path in sorted(data.rglob("*"))
            if path.is_file()
        }
        with tarfile.open(OUTPUT / "library.tar.xz", "w:xz", preset=9) as archive:
            archive.add(data, ".", filter=anonymous)
    text = json.dumps(expected, ensure_ascii=False, sort_keys=True)
    (OUTPUT / "expected.json").write_text(f"{text}\n", encoding="utf-8")


def focused(http: httpx.Client) -> Any:
    (photo,) = (row for row in images(http)["images"] if row["original"] == "photos/a.jpg")
    return http.get(f"/images/{photo['id']}").json()


def is_healthy(http: httpx.Client) -> bool:
    try:
        return http.get("/health").is_success
    except httpx.TransportError:
        return False


def wait_for(is_so: Callable[[], bool]) -> None:
    for _ in range(300):
        if is_so():
            return
        time.sleep(0.1)
    raise TimeoutError


def anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member


if __name__ == "__main__":
    main(sys.argv[1])
