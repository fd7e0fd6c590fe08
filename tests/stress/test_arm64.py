"""The arm64 package works on the processor that it is for: emulated by QEMU, over Debian's arm64 Python.

Debian 13 has Lambda's Python. Its glibc is newer than Lambda's; tests/deployment sees to it that the
package's wheels are built for an older one.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import build
import pytest
import skimage
from PIL import Image

PROGRAM = Path(__file__).with_name("arm64_render.py")
ORIGINAL = Path(skimage.__file__).parent / "data" / "rocket.jpg"
# What the built-in recipe makes of it: nothing is enlarged.
SIZES = {
    "w=200,h=200,g=attention": [200, 200],
    "w=320": [320, 214],
    "w=640": [640, 427],
    "w=1280": [640, 427],
    "w=1920": [640, 427],
}
TOOLS = {"mmdebstrap": "mmdebstrap", "qemu-aarch64-static": "qemu-user-static"}
# base-files makes the links (/lib) under which programs look for the loader.
SYSTEM = ("base-files", "libpython3.13-stdlib", "libstdc++6", f"python{build.interpreter.VERSION}-minimal")


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The root of a small arm64 Debian, unpacked and never booted."""
    missing = [package for tool, package in TOOLS.items() if not shutil.which(tool)]
    if missing:
        pytest.skip(f"THE ARM64 PACKAGE WAS NOT TESTED: apt-get install {' '.join(missing)}")
    root = tmp_path_factory.mktemp("arm64") / "root"
    include = f"--include={','.join(SYSTEM)}"
    subprocess.run(
        ["mmdebstrap", "--quiet", "--variant=extract", "--architectures=arm64", include, "trixie", root],
        check=True,
    )
    yield root
    shutil.rmtree(root)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The process function's package as it is deployed."""
    folder = tmp_path_factory.mktemp("package")
    build.build(build.PACKAGES["process"], "arm64", folder)
    yield folder
    shutil.rmtree(folder)


def run(system: Path, package: Path, *arguments: Path) -> subprocess.CompletedProcess[str]:
    """PROGRAM's end, where nothing can be imported but the package and the standard library."""
    python = system / "usr" / "bin" / f"python{build.interpreter.VERSION}"
    start = (
        "import runpy, sys\n"
        f"sys.path.insert(0, {str(package)!r})\n"
        f"runpy.run_path({str(PROGRAM)!r}, run_name='__main__')"
    )
    return subprocess.run(
        ["qemu-aarch64-static", "-L", system, python, "-I", "-S", "-B", "-c", start, *arguments],
        env={"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_arm64_package_renders_an_image_and_its_handlers_load(
    system: Path, package: Path, tmp_path: Path
) -> None:
    done = run(system, package, ORIGINAL, tmp_path)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["machine"] == "aarch64"
    assert seen["handlers"] == ["process", "deliver", "api"]
    assert seen["original"] == [640, 427]
    assert seen["renditions"] == {
        f"{name},fm={format_}.{extension}": size
        for name, size in SIZES.items()
        for format_, extension in (("avif", "avif"), ("jpeg", "jpg"))
    }
    for name, size in seen["renditions"].items():
        with Image.open(tmp_path / name) as image:
            image.load()
            assert list(image.size) == size
