"""The TypeScript client: its own tests pass in Node against a running server, and its types are those of the
API."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
from pathlib import Path

import client_packages
import generate_clients
import pytest
from client_site import Site, jpeg

PACKAGE = generate_clients.TYPESCRIPT


def run(command: list[str], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built package with its tests, beside the vectors. CI installs its tools; elsewhere the tests are
    skipped without them."""
    if not (PACKAGE / "node_modules").is_dir():
        message = "the tools of the TypeScript client are not installed: run `npm ci` in clients/typescript"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    clients = tmp_path_factory.mktemp("clients")
    client_packages.compiled(clients / "typescript")
    shutil.copy(generate_clients.VECTORS, clients)
    return clients / "typescript"


def test_the_types_are_those_of_the_api(package: Path, tmp_path: Path) -> None:
    generate_clients.typescript_schema(tmp_path / "schema.ts")
    committed = (package / "src" / "schema.ts").read_text("utf-8")
    assert (tmp_path / "schema.ts").read_text("utf-8") == committed, "run `make clients` and commit"


@pytest.mark.parametrize("file", ["offline", "retries", "server", "resumable"])
def test_its_own_tests_pass_in_node(package: Path, site: Site, file: str) -> None:
    done = run(
        ["node", "--test", "--test-reporter=tap", f"test/{file}.test.mjs"],
        package,
        IMAGES_URL=site.address,
        IMAGES_TOKEN=site.token,
        IMAGES_SOURCE=site.source,
        IMAGES_SIGNING_KEY=site.signing_key,
        IMAGE=base64.b64encode(jpeg()).decode(),
    )
    assert "# fail 0" in done.stdout
    assert "# skipped 0" in done.stdout
    assert "# pass 0" not in done.stdout
