"""docs/migrating.md: each guide's settings, commands and URLs work as it says."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner

from image_processor.bootstrap.commands import Commands
from image_processor.bootstrap.delivery import build_dialects, build_policy
from image_processor.cli.commands import app
from image_processor.config.recipe import DEFAULT_RECIPE, parse_recipe
from image_processor.config.settings import ALL_SETTINGS, Settings, dialect_settings, from_environment
from image_processor.delivery.dialects import dialect_of
from image_processor.delivery.request import HttpRequest
from image_processor.delivery.resolver import RequestResolver
from image_processor.domain.models import ImageMetadata

TEXT = (Path(__file__).parents[1] / "docs" / "migrating.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))
GUIDES = [name for name in SECTIONS if name != "The way for every product"]
BUILT_IN = parse_recipe(DEFAULT_RECIPE)
ORIGINAL = ImageMetadata(4000, 3000, "jpeg", 1, False, 1, "")


def blocks(text: str, language: str) -> list[str]:
    return [
        re.sub(r"^   ", "", block, flags=re.MULTILINE)
        for block in re.findall(rf"^ *```{language}\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    ]


def variables(section: str) -> dict[str, str]:
    lines = "\n".join(blocks(section, "ini")).splitlines()
    return dict(line.split("=", 1) for line in lines if line.startswith("IMAGE_PROCESSOR_"))


def examples(section: str) -> list[tuple[str, str]]:
    """The URLs, and what they are here."""
    return re.findall(r"^\| `(/[^`]+)` \| `([^`]+)` \|$", section, re.MULTILINE)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the file of named transformations."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "named.txt").write_text(blocks(SECTIONS["Cloudinary"], "text")[0], encoding="utf-8")
    return tmp_path


def translated(url: str) -> str:
    done = CliRunner().invoke(app, ["translate", url], obj=Commands())
    assert done.exit_code == 0, done.output
    return re.sub(r"^\w+: ", "", done.output.partition("  (")[0].strip())


@pytest.mark.parametrize("guide", GUIDES)
@pytest.mark.usefixtures("folder")
def test_the_urls_of_a_guide_become_ours(guide: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables(SECTIONS[guide]).items():
        monkeypatch.setenv(name, value)
    found = examples(SECTIONS[guide])
    assert len(found) >= 2
    assert [(url, translated(url)) for url, _ in found] == found


@pytest.mark.parametrize("guide", GUIDES)
def test_the_command_of_the_guide_prints_the_share(
    guide: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    urls = [url for url, _ in examples(SECTIONS[guide])]
    lines = [f'127.0.0.1 - - [30/Nov/2026:03:00:00 +0000] "GET {url} HTTP/1.1" 200 1\n' for url in urls]
    (folder / "access.log").write_text("".join(lines), encoding="utf-8")
    for name, value in variables(SECTIONS[guide]).items():
        monkeypatch.setenv(name, value)
    (command,) = blocks(SECTIONS["The way for every product"], "sh")
    program, *arguments = command.split()
    assert program == "image-processor"
    done = CliRunner().invoke(app, arguments, obj=Commands())
    assert done.output == f"{len(urls)} of {len(urls)} URLs work (100.0 %)\n"


def answers(settings: Settings, section: str) -> Iterator[tuple[str, str, bool]]:
    """The URLs, the keys of the renditions, and whether their signature is valid."""
    recipe = parse_recipe("".join(blocks(section, "toml"))) if blocks(section, "toml") else BUILT_IN
    resolver = RequestResolver(recipe, build_policy(settings), lambda _: ORIGINAL, lambda: 0.0)
    for url, _ in examples(section):
        parts = urlsplit(url)
        request = HttpRequest("GET", parts.path[1:], parts.query, {"accept": "image/webp,*/*"})
        dialect = dialect_of(build_dialects(settings), request.path, request.query)
        assert dialect is not None
        signed = dialect.parse(request.path, request.query, now=0).signed
        if signed or not any(name in url for name in ("t_thumb", "fetch")):
            yield url, resolver.resolve(request).stored_key, signed


@pytest.mark.parametrize("guide", GUIDES)
@pytest.mark.usefixtures("folder")
def test_the_settings_of_a_guide_serve_its_urls(guide: str) -> None:
    """Signed URLs are valid with the key, and the others are open as the guide says."""
    settings = from_environment(variables(SECTIONS[guide]))
    found = list(answers(settings, SECTIONS[guide]))
    assert len(found) >= 2
    has_key = any("KEY" in name or "SECRET" in name for name in variables(SECTIONS[guide]))
    assert {signed for *_, signed in found} == {has_key}


@pytest.mark.usefixtures("folder")
def test_unsigned_urls_of_a_guide_with_a_key_are_refused() -> None:
    """Those that no preset declares."""
    settings = from_environment(variables(SECTIONS["Cloudinary"]))
    unsigned = [url for url, _ in examples(SECTIONS["Cloudinary"]) if "s--" not in url]
    resolver = RequestResolver(BUILT_IN, build_policy(settings), lambda _: ORIGINAL, lambda: 0.0)
    assert len(unsigned) == 2
    for url in unsigned:
        with pytest.raises(Exception, match="expected a signature"):
            resolver.resolve(HttpRequest("GET", url[1:]))


def test_settings_that_the_guides_name_exist() -> None:
    named = set(re.findall(r"(?<=IMAGE_PROCESSOR_)[A-Z0-9_]*[A-Z0-9]", TEXT))
    assert named - {spec.name for spec in (*ALL_SETTINGS, *dialect_settings())} == set()


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
def test_the_configuration_that_splits_requests_is_valid(tmp_path: Path) -> None:
    (block,) = blocks(SECTIONS["The way for every product"], "nginx")
    file = tmp_path / "nginx.conf"
    paths = "".join(
        f"{name}_temp_path {tmp_path};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    file.write_text(
        f"pid {tmp_path}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{paths}{block}}}\n"
    )
    command = ["nginx", "-t", "-q", "-p", str(tmp_path), "-c", str(file), "-e", "stderr"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_guide_is_in_the_list() -> None:
    (listed,) = re.findall(r"^Guides: (.+?)\n\n", TEXT, re.MULTILINE | re.DOTALL)
    anchors = set(re.findall(r"\(#([a-z-]+)\)", listed))
    assert anchors == {re.sub(r"[^a-z-]", "", name.lower().replace(" ", "-")) for name in GUIDES}
