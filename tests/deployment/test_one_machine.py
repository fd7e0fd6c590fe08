"""The container image's and the service's files: settings in them exist, and linters find nothing.

tests/stress builds and runs the image; tests/end_to_end runs the proxies.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from linters import ROOT, run

from image_processor.config.settings import ALL_SETTINGS, PREFIX

DOCKERFILE = ROOT / "Dockerfile"
COMPOSE = ROOT / "examples" / "docker" / "compose.yaml"
STORAGE = COMPOSE.with_name("compose.storage.yaml")
UNIT = ROOT / "examples" / "systemd" / "image-processor.service"
MOST_EXPOSED = 2.0
# What ends a stop: `TimeoutStopSec` and its like, in docs/operations.md.
STOP_SECONDS = 30


def settings_in(text: str) -> set[str]:
    return set(re.findall(rf"\b{PREFIX}[A-Z_]+", text))


@pytest.mark.parametrize("file", [DOCKERFILE, COMPOSE, STORAGE, UNIT], ids=lambda file: file.name)
def test_every_setting_exists(file: Path) -> None:
    known = {PREFIX + spec.name for spec in ALL_SETTINGS}
    assert settings_in(file.read_text()) - known == set()


def test_checkov_finds_nothing_in_the_dockerfile() -> None:
    done = run(
        *("checkov", "--framework", "dockerfile", "--file", str(DOCKERFILE), "--output", "json", "--compact"),
    )
    found = json.loads(done.stdout)
    assert found["summary"]["passed"] > 0
    assert found["results"]["failed_checks"] == []


def test_compose_files_have_composes_schema(tmp_path: Path) -> None:
    check = ("check-jsonschema", "--builtin-schema", "vendor.compose-spec")
    done = run(*check, COMPOSE, STORAGE)
    assert done.returncode == 0, done.stdout
    wrong = tmp_path / "compose.yaml"
    wrong.write_text(COMPOSE.read_text().replace("stop_grace_period", "stop_grace_time"))
    done = run(*check, wrong)
    assert (done.returncode, "'stop_grace_time' was unexpected" in done.stdout) == (1, True)


@pytest.fixture(scope="module")
def services() -> Any:
    """Those of both files. What the second one adds to a service of the first is left out."""
    return _services(STORAGE) | _services(COMPOSE)


def _services(file: Path) -> Any:
    return yaml.safe_load(file.read_text())["services"]


def test_the_server_waits_for_its_buckets_and_has_the_keys_of_the_storage() -> None:
    services = _services(STORAGE)
    server, storage = (services[name]["environment"] for name in ("image-processor", "storage"))
    assert services["image-processor"]["depends_on"] == {
        "buckets": {"condition": "service_completed_successfully"}
    }
    assert server["AWS_ACCESS_KEY_ID"] == storage["MINIO_ROOT_USER"]
    assert server["AWS_SECRET_ACCESS_KEY"] == storage["MINIO_ROOT_PASSWORD"]
    (command,) = services["buckets"]["command"]
    for name in ("UPLOAD_BUCKET", "PROCESSED_BUCKET"):
        assert f"storage/{server[PREFIX + name]}" in command


def test_containers_can_write_to_their_volumes_only_and_have_no_rights(services: Any) -> None:
    for service in services.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
    assert "cap_add" not in services["image-processor"]


def test_only_the_proxy_is_reachable(services: Any) -> None:
    assert [name for name, service in services.items() if "ports" in service] == ["caddy"]
    for name in ("image-processor", "storage", "buckets"):
        assert services[name]["networks"] == ["inside"]


def test_both_ways_to_stop_give_the_server_its_time(services: Any) -> None:
    assert services["image-processor"]["stop_grace_period"] == f"{STOP_SECONDS}s"
    assert f"TimeoutStopSec={STOP_SECONDS}\n" in UNIT.read_text()


def test_variables_of_the_compose_file_are_those_of_its_example() -> None:
    named = set(re.findall(r"\$\{(\w+)", COMPOSE.read_text() + STORAGE.read_text()))
    given = set(re.findall(r"^(\w+)=", (COMPOSE.parent / ".env.example").read_text(), re.MULTILINE))
    assert named == given


def test_systemd_accepts_the_unit_and_rates_it_as_little_exposed(tmp_path: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("THE UNIT WAS NOT CHECKED: apt-get install systemd")
    unit = tmp_path / UNIT.name
    unit.write_text(re.sub(r"ExecStart=\S+", "ExecStart=/bin/true", UNIT.read_text()))
    checked = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--no-pager", unit],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    level = re.search(r"Overall exposure level for [\w.-]+: ([\d.]+)", rated)
    assert level, rated
    assert float(level[1]) < MOST_EXPOSED
