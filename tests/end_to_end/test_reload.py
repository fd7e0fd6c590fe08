"""`serve` applies a changed recipe while it runs, keeps the old one if the new one is invalid, and survives
SIGHUP in each of its processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image

from image_processor.config.tokens import Scope, create_token
from image_processor.delivery.url.parser import parse_url
from image_processor.delivery.url.signing import Keyring, signature_query
from support.plain_http import NO_CERTIFICATES
from support.served import Served
from support.waiting import wait_for

RECIPE = """
[presets.small]
widths = [{width}]
formats = ["jpeg"]
[[rules]]
match = "**"
presets = ["small"]
"""


KEYS = {"a": "first-secret-of-the-server", "b": "second-secret-of-the-server"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    (tmp_path / "keys.toml").write_text(f'signing_keys = ["unused:{"x" * 16}"]\n')
    settings = {
        "IMAGE_PROCESSOR_CONFIG": "keys.toml",
        "IMAGE_PROCESSOR_SERVER_PROCESSES": "2",
        "IMAGE_PROCESSOR_WORKERS": "1",
    }
    server = Served(tmp_path, RECIPE.format(width=32), settings)
    server.start()
    yield server
    server.close()


def processes(server: Served) -> list[int]:
    """The process ids of the server and of all processes that it has started."""
    tasks = Path(f"/proc/{server.process.pid}/task").glob("*/children")
    return [server.process.pid, *(int(pid) for task in tasks for pid in task.read_text().split())]


def renditions(folder: Path) -> set[str]:
    return {path.name for path in (folder / "data" / "processed").glob("a.png/*")}


def test_a_changed_recipe_is_applied_to_new_and_to_stored_originals(server: Served, tmp_path: Path) -> None:
    Image.new("RGB", (64, 48), "red").save(tmp_path / "data" / "uploads" / "a.png")
    wait_for(lambda: renditions(tmp_path) == {"w=32,fm=jpeg.jpg"}, "the rendition")
    httpx.get(
        f"{server.address}/renditions/a.png/w=32,fm=jpeg.jpg", verify=NO_CERTIFICATES
    ).raise_for_status()
    wait_for(
        lambda: len(processes(server)) >= 3, "a hit server, which begins with the first hit, and a renderer"
    )
    pids = processes(server)

    recipe = tmp_path / "recipe.toml"
    recipe.write_text("[presets.small]\nwidht = 1\n")
    wait_for(lambda: server.get("/health")["status"] == "degraded", "the error")
    assert "the previous one stays in force" in (tmp_path / "log").read_text()
    assert server.get("/recipe")["presets"] == {"small": ["w=32,fm=jpeg"]}

    recipe.write_text(RECIPE.format(width=16))
    wait_for(lambda: renditions(tmp_path) == {"w=16,fm=jpeg.jpg"}, "the rendition of the new recipe")
    assert server.get("/health")["status"] == "ok"

    for pid in pids:
        os.kill(pid, signal.SIGHUP)
    recipe.write_text(RECIPE.format(width=8))
    wait_for(lambda: renditions(tmp_path) == {"w=8,fm=jpeg.jpg"}, "the rendition after SIGHUP")
    assert set(pids) <= set(processes(server))
    assert server.stop() == 0


def status(server: Served, kid: str, secret: str) -> int:
    """The status of a URL signed with this key, over a connection that a hit server may answer."""
    keys = Keyring({kid: secret.encode()})
    query = f"w=20&fm=jpeg&{signature_query(keys.sign(parse_url('a.png', 'w=20&fm=jpeg')))}"
    with httpx.Client(base_url=server.address, verify=NO_CERTIFICATES) as client:
        return client.get(f"/renditions/a.png?{query}").status_code


def test_signing_keys_are_rotated_while_the_server_runs(server: Served, tmp_path: Path) -> None:
    Image.new("RGB", (64, 48), "red").save(tmp_path / "data" / "uploads" / "a.png")
    wait_for(lambda: renditions(tmp_path), "the rendition")
    first, second = ("a", KEYS["a"]), ("b", KEYS["b"])
    assert [status(server, *key) for key in (first, second)] == [403, 403]

    file = tmp_path / "keys.toml"
    file.write_text(f'signing_keys = ["b:{KEYS["b"]}"]\n')
    wait_for(lambda: status(server, *second) == 200, "the new key")
    for _ in range(3):
        assert [status(server, *key) for key in (first, second)] == [403, 200]

    file.write_text('signing_keys = ["short"]\n')
    wait_for(lambda: server.get("/health")["status"] == "degraded", "the error")
    assert "signing_keys in keys.toml" in server.get("/health")["detail"]
    assert status(server, *second) == 200

    file.write_text("")
    wait_for(lambda: status(server, *second) == 403, "no key")
    assert server.get("/health")["status"] == "ok"
    assert KEYS["b"] not in (tmp_path / "log").read_text()


def test_a_token_is_taken_back_from_a_running_server(tmp_path: Path) -> None:
    (old, old_line), (new, new_line) = create_token(Scope.READ, "old"), create_token(Scope.READ, "new")
    file = tmp_path / "tokens.txt"
    file.write_text(f"{old_line}\n")
    server = Served(tmp_path, RECIPE.format(width=8), {"IMAGE_PROCESSOR_TOKENS_FILE": str(file)})
    server.start()

    def listed(token: str) -> int:
        headers = {"authorization": f"Bearer {token}"}
        return httpx.get(
            f"{server.address}/images", headers=headers, timeout=60, verify=NO_CERTIFICATES
        ).status_code

    try:
        assert (listed(old), listed(new)) == (200, 401)
        file.write_text(f"{new_line}\n")
        os.kill(server.process.pid, signal.SIGHUP)
        # Asking with the new one first would be asking with a wrong one, too often.
        wait_for(lambda: listed(old) != 200, "the end of the old token")
        assert (listed(old), listed(new)) == (401, 200)
    finally:
        server.close()
