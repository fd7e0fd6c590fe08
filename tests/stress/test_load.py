"""Load on the whole server: a burst of uploads, long use, and many connections.

The tests print their figures; docs/reliability.md lists measured ones.
"""

from __future__ import annotations

import io
import os
import random
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from image_processor.api.connections import MAX_CONNECTIONS
from image_processor.delivery.url.parser import parse_url
from image_processor.delivery.url.signing import Keyring, signature_query
from support.served import Served

RECIPE = """
[presets.two]
widths = [16, 32]
formats = ["jpeg", "webp"]
[[rules]]
match = "**"
presets = ["two"]
"""
SECRET = "a-secret-of-stress"
BURST = int(os.environ.get("BURST", "10000"))
SOAK = int(os.environ.get("SOAK", "10000"))
CONNECTIONS = 10_000


@pytest.fixture
def server(tmp_path: Path):
    settings = {
        "IMAGE_PROCESSOR_SIGNING_KEYS": f"a:{SECRET}",
        "IMAGE_PROCESSOR_CACHE_BYTES": "1",
        "IMAGE_PROCESSOR_RENDITIONS_PER_ORIGINAL": "20",
    }
    served = Served(tmp_path, RECIPE, settings)
    yield served
    served.close()


def report(figures: str) -> None:
    sys.stdout.write(f"\n{figures}\n")


def picture(number: int, width: int = 48, height: int = 32) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 255, (height, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def signed(key: str, query: str) -> str:
    signature = Keyring({"a": SECRET.encode()}).sign(parse_url(key, query))
    return f"/renditions/{key}?{query}&{signature_query(signature)}"


def process_tree(pid: int) -> list[int]:
    """A process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    pids = [pid]
    for task in children.parent.parent.iterdir():
        text = (task / "children").read_text()
        pids += [item for child in text.split() for item in process_tree(int(child))]
    return pids


def memory(pid: int) -> int:
    """Resident memory of a process and its children, in KiB."""
    total = 0
    for item in process_tree(pid):
        lines = Path(f"/proc/{item}/status").read_text().splitlines()
        total += next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
    return total


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def test_a_burst_of_uploads_is_processed_completely(server: Served, tmp_path: Path) -> None:
    server.start()
    uploads = tmp_path / "data" / "uploads"
    bodies = [picture(number) for number in range(100)]
    started = time.monotonic()
    for number in range(BURST):
        folder = uploads / f"{number % 97}"
        folder.mkdir(exist_ok=True)
        temporary = tmp_path / "temporary"
        temporary.write_bytes(bodies[number % len(bodies)] + b"%d" % number)
        temporary.rename(folder / f"{number}.jpg")
    written = time.monotonic() - started
    max_backlog = 0

    def drained() -> bool:
        nonlocal max_backlog
        health = server.get("/health")
        max_backlog = max(max_backlog, health["backlog"])
        processed = tmp_path / "data" / "processed"
        time.sleep(1)
        return health["backlog"] == 0 and sum(1 for _ in processed.rglob("*.jpg")) >= 2 * BURST

    server.wait_until(drained, seconds=3600)
    took = time.monotonic() - started
    report(f"{BURST} uploads in {written:.0f} s, drained after {took:.0f} s; backlog at most {max_backlog}")
    processed_count, cursor = 0, ""
    while True:
        page = server.get("/images?limit=1000" + (f"&cursor={cursor}" if cursor else ""))
        processed_count += sum(
            image["status"] == "processed" and len(image["renditions"]) == 4 for image in page["images"]
        )
        cursor = page["cursor"]
        if not cursor:
            break
    assert processed_count == BURST
    assert server.stop() == 0


def test_memory_and_descriptors_do_not_grow_under_load(server: Served) -> None:
    server.start()
    chance = random.Random(6)
    keys = [f"{number}.jpg" for number in range(50)]
    with httpx.Client(base_url=server.address, timeout=60) as client:
        for number, key in enumerate(keys):
            assert client.put(f"/uploads/{key}", content=picture(number, 320, 240)).status_code == 201

        def step(number: int) -> int:
            key = keys[chance.randrange(len(keys))]
            kind = chance.random()
            if kind < 0.5:
                return client.get(
                    f"/renditions/{key}?w=16&fm=auto", headers={"accept": "image/webp"}
                ).status_code
            if kind < 0.8:
                url = signed(key, f"w={chance.randrange(8, 300)}&fm=webp&blur={chance.choice([1, 2, 3])}")
                return client.get(url).status_code
            if kind < 0.9:
                return client.get(f"/renditions/{key}?w=999").status_code
            if kind < 0.95:
                return client.put(f"/uploads/{key}", content=picture(number, 320, 240)).status_code
            return client.get("/images?limit=10").status_code

        seen: dict[int, int] = {}
        marks = {SOAK // 4, SOAK // 2, 3 * SOAK // 4, SOAK - 1}
        figures: list[tuple[int, int]] = []
        with ThreadPoolExecutor(8) as threads:
            for block in range(0, SOAK, 100):
                for status in threads.map(step, range(block, block + 100)):
                    seen[status] = seen.get(status, 0) + 1
                if marks & set(range(block, block + 100)):
                    figures.append((memory(server.process.pid), descriptors(server.process.pid)))
    report(f"{SOAK} requests, statuses {seen}; KiB and descriptors at each quarter: {figures}")
    assert set(seen) <= {200, 201, 403, 404, 503}
    (first, open_first), *_, (last, open_last) = figures
    assert last < 1.25 * first + 20_000
    # A decoded original takes one, until another upload replaces it.
    assert open_last <= open_first + 10 + len(keys)
    assert server.stop() == 0


def test_ten_thousand_half_open_connections_do_not_stop_the_server(server: Served) -> None:
    """Each connection sends half a request head and waits. They come from several loopback addresses,
    since one address has only some 28,000 ports."""
    server.start()
    host, port = server.address.removeprefix("http://").split(":")
    held: list[socket.socket] = []
    max_descriptors, slowest = 0, 0.0
    try:
        for number in range(CONNECTIONS):
            connection = socket.socket()
            connection.settimeout(10)
            connection.bind((f"127.0.0.{2 + number % 50}", 0))
            try:
                connection.connect((host, int(port)))
                connection.send(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ")
            except OSError:
                connection.close()
                continue
            held.append(connection)
            if number % 500 == 499:
                began = time.monotonic()
                assert server.get("/health")["status"] == "ok"
                slowest = max(slowest, time.monotonic() - began)
                max_descriptors = max(max_descriptors, descriptors(server.process.pid))
    finally:
        for connection in held:
            connection.close()
    report(f"{len(held)} connections, at most {max_descriptors} descriptors; slowest /health {slowest:.2f} s")
    assert max_descriptors < MAX_CONNECTIONS + 100
    server.wait_until(lambda: descriptors(server.process.pid) < 100, seconds=60)
    assert server.stop() == 0
