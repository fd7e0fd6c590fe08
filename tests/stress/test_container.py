"""The container image, built by buildah without an engine, and run as the compose file runs it: without
rights, with a root that cannot be written.

There is no registry in tests: the base is a Debian made by mmdebstrap, as small as Docker's `slim` images.
Namespaces are unshare's. What an engine adds on top (its seccomp profile, its network) is not tested.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import skimage
from msgspec import Struct
from PIL import Image

from support.waiting import wait_for

ROOT = Path(__file__).parents[2]
TOOLS = ("buildah", "mmdebstrap", "unshare")
PHOTO = Path(skimage.__file__).parent / "data" / "rocket.jpg"
# As in debian:bookworm-slim and the Python images made of it.
LEFT_OUT = (
    *(f"usr/share/{name}" for name in ("doc", "man", "locale", "info")),
    "var/cache/apt",
    "var/lib/apt/lists",
)
MAX_SIZE = 250_000_000
PORT = 8000
TOKEN = "imgp_" + 43 * "a"


class Images(Struct, frozen=True):
    """buildah with storage of its own below a folder."""

    folder: Path

    def run(self, *arguments: str | Path) -> str:
        storage = ["--root", self.folder / "images", "--runroot", self.folder / "run"]
        done = subprocess.run(["buildah", *storage, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()


class BuiltImage(Struct, frozen=True):
    root: Path
    settings: Any
    bytes: int


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BuiltImage]:
    missing = [tool for tool in TOOLS if not shutil.which(tool)]
    if missing or os.geteuid() != 0:
        pytest.skip(f"THE CONTAINER WAS NOT TESTED: apt-get install {' '.join(missing)}, as root")
    folder = tmp_path_factory.mktemp("container")
    images = Images(folder)
    packages = "--include=python3,python3-venv,ca-certificates,tini,fonts-dejavu-core,usr-is-merged"
    # It takes Perl with it, 50 MB that Docker's images of Debian do not have either.
    purge = '--customize-hook=chroot "$1" apt-get -qq -y purge usrmerge perl perl-modules-5.36 libperl5.36'
    cleanup = "--customize-hook=cd $1 && rm -rf " + " ".join(LEFT_OUT)
    base = folder / "base.tar"
    subprocess.run(
        ["mmdebstrap", "--quiet", "--variant=minbase", packages, purge, cleanup, "bookworm", base], check=True
    )
    container = images.run("from", "scratch")
    images.run("add", container, base, "/")
    images.run("commit", "--quiet", container, "localhost/python")
    # pip's configuration of this machine, for where it has its packages from.
    shared = [path for path in ("/etc/pip.conf", "/etc/ssl") if Path(path).exists()]
    images.run(
        *("bud", "--quiet", "--isolation", "chroot", "--format", "docker"),
        *(f"--volume={path}:{path}:ro" for path in shared),
        *("--build-arg", "PYTHON_IMAGE=localhost/python", "--tag", "localhost/image-processor", ROOT),
    )
    container = images.run("from", "localhost/image-processor")
    settings = json.loads(images.run("inspect", container))["Docker"]["config"]
    root = Path(images.run("mount", container))
    size = int(subprocess.check_output(["du", "-sbx", root]).split()[0])
    yield BuiltImage(root, settings, size)
    images.run("umount", container)
    images.run("rm", "--all")
    images.run("rmi", "--all", "--force")


# What a container engine does for `read_only`, `cap_drop: [ALL]` and `no-new-privileges`.
START = r"""
set -e
mount --bind "$ROOT" "$ROOT"
mount -t proc proc "$ROOT/proc"
mount -t tmpfs tmpfs "$ROOT/tmp"
mount --rbind /dev "$ROOT/dev"
mount --bind "$DATA" "$ROOT/data"
mount -o remount,bind,ro "$ROOT"
cd /
exec chroot "$ROOT" setpriv --reuid "$ID" --regid "$ID" --clear-groups --no-new-privs --bounding-set=-all \
    --inh-caps=-all env -i "$@"
"""
NAMESPACES = ("--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child")


@pytest.fixture
def container(image: BuiltImage, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The image's command as process 1 of its own, with the image's user, environment and entry point."""
    data = tmp_path / "data"
    data.mkdir()
    user = int(image.settings["User"].partition(":")[0])
    os.chown(data, user, user)
    environment = dict(item.split("=", 1) for item in image.settings["Env"])
    environment["IMAGE_PROCESSOR_HOST"] = "127.0.0.1"  # the network is this machine's
    environment["IMAGE_PROCESSOR_TOKENS"] = f"write:test:{hashlib.sha256(TOKEN.encode()).hexdigest()}"
    program = [*image.settings["Entrypoint"], *image.settings["Cmd"]]
    command = ["unshare", *NAMESPACES, "sh", "-c", START, "sh"]
    command += [*(f"{name}={value}" for name, value in environment.items()), *program]
    outside = {**os.environ, "ROOT": str(image.root), "DATA": str(data), "ID": str(user)}
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=outside, stdout=output, stderr=output)

        def answers() -> bool:
            assert process.poll() is None, log.read_text()
            try:
                return bool(json.loads(get("/health"))["status"] == "ok")
            except OSError:
                return False

        wait_for(answers, "the server")
        yield process
        process.kill()
        process.wait()


def get(path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{PORT}{path}") as response:
        body: bytes = response.read()
        return body


def in_container(process: subprocess.Popen[bytes]) -> list[int]:
    """The processes inside, tini first."""
    (first,) = children(process.pid)
    found = [first]
    for pid in found:
        found += children(pid)
    return found


def children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def test_it_is_small_and_has_no_installer(image: BuiltImage) -> None:
    assert image.bytes < MAX_SIZE
    program = image.root / "opt" / "image-processor"
    assert not list(program.glob("lib/python*/site-packages/pip"))
    assert not list(program.glob("lib/python*/site-packages/hatchling"))


def test_it_says_how_it_is_run(image: BuiltImage) -> None:
    assert image.settings["User"] == "10001:10001"
    assert image.settings["Entrypoint"] == ["tini", "--", "image-processor"]
    assert set(image.settings["ExposedPorts"]) == {f"{PORT}/tcp"}
    assert set(image.settings["Volumes"]) == {"/data"}
    assert image.settings["Healthcheck"]["Test"][0] == "CMD"


def test_it_makes_renditions_without_rights_and_ends_by_sigterm(
    image: BuiltImage, container: subprocess.Popen[bytes]
) -> None:
    request = urllib.request.Request(
        f"http://127.0.0.1:{PORT}/uploads/rocket.jpg",
        PHOTO.read_bytes(),
        {"Authorization": f"Bearer {TOKEN}"},
        method="PUT",
    )
    with urllib.request.urlopen(request) as response:
        assert response.status == 201
    with Image.open(io.BytesIO(get("/renditions/rocket.jpg/w=320,fm=jpeg.jpg"))) as rendition:
        assert rendition.size == (320, 214)

    pids = in_container(container)
    for pid in pids:
        status = Path(f"/proc/{pid}/status").read_text()
        assert "Uid:\t10001\t10001" in status
        assert "CapEff:\t0000000000000000" in status
        assert "NoNewPrivs:\t1" in status
    probe = subprocess.run(
        ["chroot", image.root, *image.settings["Healthcheck"]["Test"][1:]],
        env=dict(item.split("=", 1) for item in image.settings["Env"]),
        check=False,
    )
    assert probe.returncode == 0

    tini = pids[0]
    os.kill(tini, signal.SIGTERM)
    assert container.wait(60) == 0
    with pytest.raises(urllib.error.URLError):
        get("/health")
