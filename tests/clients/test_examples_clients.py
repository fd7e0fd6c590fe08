"""The examples for Rails, WordPress and Astro: each signs as the server does, and its code works against a
running server in Ruby, PHP and Node, without the frameworks."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import generate_clients
import httpx
import pytest
from client_site import Site, jpeg
from PIL import Image

from support.plain_http import NO_CERTIFICATES

EXAMPLES = generate_clients.HERE.parent / "examples"
PROGRAMS = Path(__file__).parent / "example_programs"
STRICT = {
    "ruby": ["-w"],
    "php": ["-d", "error_reporting=-1", "-d", "display_errors=stderr", "-d", "log_errors=0"],
    "node": [],
}
"""The options with which each interpreter says what it would rather not see."""


def interpreter(name: str) -> list[str]:
    """The command of an interpreter. CI installs it; elsewhere the test is skipped without it."""
    if shutil.which(name) is None:
        message = f"{name} is not installed: its example is not tested"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    return [name, *STRICT[name]]


def run(command: list[str], site: Site | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program for the server of ``site``."""
    of_site = {}
    if site is not None:
        of_site = {
            "IMAGES_URL": site.address,
            "IMAGES_TOKEN": site.token,
            "IMAGES_SIGNING_KEY": site.signing_key,
        }
    environment |= {"EXAMPLES": str(EXAMPLES), "LC_ALL": "C.UTF-8"}
    return subprocess.run(
        command, env={**os.environ, **of_site, **environment}, capture_output=True, text=True, check=False
    )


def found(command: list[str], site: Site | None = None, **environment: str) -> Any:
    """What a program prints as JSON, if it ends well and says nothing else."""
    done = run(command, site, **environment)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def opened(url: str) -> Image.Image:
    response = httpx.get(url, headers={"accept": "image/webp"}, verify=NO_CERTIFICATES, timeout=60)
    assert response.status_code == 200, response.text
    return Image.open(io.BytesIO(response.content))


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "cat 1.jpg"
    path.write_bytes(jpeg())
    return path


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    path = tmp_path / "empty.jpg"
    path.touch()
    return path


@pytest.mark.parametrize(
    ("name", "program"), [("ruby", "sign.rb"), ("php", "sign.php"), ("node", "sign.mjs")]
)
def test_a_signed_url_is_the_servers(name: str, program: str) -> None:
    # The examples want canonical names and values, as the documentation says.
    vectors = json.loads(generate_clients.VECTORS.read_text("utf-8"))["urls"]
    canonical = [vector for vector in vectors if vector["parameters"] == {"w": "640", "fm": "webp"}]
    assert len(canonical) > 10
    signed = found([*interpreter(name), str(PROGRAMS / program)], VECTORS=json.dumps(canonical))
    assert signed == [vector["url"] for vector in canonical]


def test_the_library_for_rails_works(site: Site, photo: Path) -> None:
    result = found([*interpreter("ruby"), str(PROGRAMS / "use.rb")], site, IMAGE_PATH=str(photo))
    assert (result["status"], result["width"]) == ("processed", 120)
    assert result["opened"] == [["200", "image/webp", "16w"], ["200", "image/webp", "24w"]]
    assert result["taken"][1].startswith("412 precondition-failed: expected If-None-Match")
    class_, message, fix = result["refused"]
    assert class_ == "ImageProcessor::Refused"
    assert message.startswith("422 refused: not-an-image")
    assert fix.startswith("Send a JPEG")
    assert result["deleted"][0] == "ImageProcessor::NotFound"


@pytest.mark.parametrize(
    "file", sorted((EXAMPLES / "rails").rglob("*.rb")), ids=lambda path: str(path.relative_to(EXAMPLES))
)
def test_a_file_for_rails_is_ruby(file: Path) -> None:
    done = run([*interpreter("ruby"), "-c", str(file)])
    assert (done.stdout, done.stderr) == ("Syntax OK\n", "")


def test_the_plugin_for_wordpress_works(site: Site, photo: Path) -> None:
    use = [*interpreter("php"), str(PROGRAMS / "use.php")]
    options = {"IMAGE_PATH": str(photo), "ATTACHED": "2026/01/cat 1.jpg"}
    result = found(use, site, **options)
    assert result["key"] == "wordpress/2026/01/cat 1.jpg"
    assert (result["other"], result["untouched"]) == (False, True)
    for name, size in {"thumbnail": (120, 80), "medium": (60, 40), "exact": (30, 20)}.items():
        url, width, height, is_intermediate = result[name]
        assert (width, height, is_intermediate) == (*size, True)
        assert opened(url).size == size
    assert "g=attention" in result["thumbnail"][0]
    assert result["attributes"]["sizes"] == "100vw"
    assert opened(result["attributes"]["srcset"].removesuffix(" 120w")).size == (120, 80)
    assert "srcset" not in result["cropped"]
    assert 'class="wp-image-7"' in result["content"]
    assert "&amp;kid=k1&amp;s=" in result["content"]
    assert found(use, site, **options, DELETE="1")["requests"] == ["PUT", "DELETE", "DELETE"]
    assert not list(site.uploads.glob("wordpress/2026/01/*"))


def test_an_attachment_that_is_refused_keeps_its_own_file(site: Site, empty: Path) -> None:
    command = [*interpreter("php"), "-d", "error_log=", str(PROGRAMS / "use.php")]
    done = run(command, site, IMAGE_PATH=str(empty), ATTACHED="empty.jpg")
    assert (
        "image-processor: wordpress/empty.jpg: the upload has no bytes Send the file's bytes" in done.stderr
    )
    result = json.loads(done.stdout)
    assert (result["key"], result["medium"], result["untouched"]) == (None, False, True)


def test_the_library_for_astro_works(site: Site, photo: Path, empty: Path) -> None:
    upload = [*interpreter("node"), str(EXAMPLES / "astro" / "upload.mjs")]
    assert run([*upload, str(photo)], site).stdout == "photos/cat 1.jpg: processed\n"
    refused = run([*upload, str(empty)], site)
    assert refused.returncode == 1
    assert "422 refused: the upload has no bytes Send the file's bytes" in refused.stderr
    ((key, props),) = found(["node", str(PROGRAMS / "use.mjs")], site)
    assert key == "photos/cat 1.jpg"
    assert (props["width"], props["height"]) == (120, 80)
    sizes = [opened(part.split(" ")[0]).size for part in props["srcset"].split(", ")]
    assert sizes == [(16, 11), (64, 43), (120, 80)]
    assert opened(props["src"]).size == (120, 80)
