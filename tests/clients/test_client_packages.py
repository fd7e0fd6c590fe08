"""The packages of the clients, as a release publishes them: complete, the same each time, and without
dependencies that users would mind."""

from __future__ import annotations

import json
import os
import re
import tarfile
import zipfile
from email.parser import BytesParser
from pathlib import Path

import client_packages
import pytest
from client_packages import PYTHON, TYPESCRIPT

from image_processor import __version__


def test_the_wheel_has_all_modules_and_no_libvips(tmp_path: Path) -> None:
    client_packages.wheel(tmp_path)
    (wheel,) = tmp_path.iterdir()
    assert wheel.name == f"image_processor_client-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        info = f"image_processor_client-{__version__}.dist-info"
        metadata = BytesParser().parsebytes(archive.read(f"{info}/METADATA"))
    source = PYTHON / "src"
    files = {str(path.relative_to(source)) for path in source.rglob("*") if path.suffix in {".py", ".typed"}}
    assert names == {
        *files,
        *(f"{info}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "licenses/LICENSE")),
    }
    needed = {
        re.split("[<>=]", text)[0] for text in metadata.get_all("Requires-Dist", []) if "extra" not in text
    }
    assert needed == {"anyio", "httpx", "msgspec", "stamina"}
    assert metadata["Provides-Extra"] == "django"
    before = wheel.read_bytes()
    client_packages.wheel(tmp_path)
    assert wheel.read_bytes() == before


def test_the_tarball_has_code_and_types_and_no_dependency(tmp_path: Path) -> None:
    if not (TYPESCRIPT / "node_modules").is_dir():
        message = "the tools of the TypeScript client are not installed: run `npm ci` in clients/typescript"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    client_packages.tarball(tmp_path)
    (archive,) = tmp_path.iterdir()
    version = client_packages.npm_version(__version__)
    assert archive.name == f"image-processor-client-{version}.tgz"
    with tarfile.open(archive) as packed:
        names = {name.removeprefix("package/") for name in packed.getnames()}
        manifest = json.load(packed.extractfile("package/package.json") or pytest.fail("no package.json"))
    modules = {path.stem for path in (TYPESCRIPT / "src").iterdir()}
    built = {f"dist/{module}{suffix}" for module in modules for suffix in (".js", ".d.ts")}
    assert names == {"package.json", "README.md", "LICENSE", *built}
    assert manifest["version"] == version
    assert not manifest.keys() & {"dependencies", "peerDependencies", "optionalDependencies"}
    targets = {target for export in manifest["exports"].values() for target in export.values()}
    assert {target.removeprefix("./") for target in targets} <= names
    before = archive.read_bytes()
    client_packages.tarball(tmp_path)
    assert archive.read_bytes() == before


@pytest.mark.parametrize(
    ("python", "npm"), [("1.2.3", "1.2.3"), ("1.2.3.dev0", "1.2.3-dev.0"), ("1.2.3rc1", "1.2.3-rc.1")]
)
def test_a_version_is_written_as_npm_does(python: str, npm: str) -> None:
    assert client_packages.npm_version(python) == npm


def test_a_wrong_version_and_a_failing_tool_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(client_packages.ClientError, match=r"expected a version such as 0.3.0.*, got '1.2'"):
        client_packages.npm_version("1.2")
    monkeypatch.setattr(client_packages, "PYTHON", tmp_path)
    with pytest.raises(client_packages.ClientError, match="hatchling build"):
        client_packages.wheel(tmp_path)
    monkeypatch.setattr(client_packages, "TYPESCRIPT", tmp_path)
    with pytest.raises(
        client_packages.ClientError, match="expected TypeScript in clients/typescript, got none"
    ):
        client_packages.tarball(tmp_path)
