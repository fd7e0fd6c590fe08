"""What import-linter cannot say: which libraries a cold start must not load.

The directions of imports are contracts in pyproject.toml, which `lint-imports` checks.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = frozenset(
    {
        "anyio",
        "boto3",
        "botocore",
        "cv2",
        "fastapi",
        "mangum",
        "numpy",
        "pydantic",
        "rich",
        "starlette",
        "typer",
        "uvicorn",
    }
)
"""Top-level modules that take longer to import than an upload or a URL may wait for."""

CORE = (
    "image_processor.bootstrap.delivery",
    "image_processor.delivery.resolver",
    "image_processor.engine.render",
    "image_processor.ingest.process",
)


@pytest.mark.parametrize("module", CORE)
def test_the_core_loads_no_heavy_library(module: str) -> None:
    code = f"import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(json.loads(done.stdout))


def test_settings_load_nothing_that_few_deployments_set() -> None:
    code = "import json, sys, image_processor.config.settings; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "image_processor.config.remote_sources" not in json.loads(done.stdout)


def test_a_process_for_hits_holds_no_more_than_it_needs() -> None:
    """It runs for as long as the server, and once for each core: each megabyte counts."""
    code = "import json, sys, image_processor.bootstrap.hit_server; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    parts = {"config.recipe", "config.settings", "delivery.read_path", "delivery.resolver", "engine"}
    assert not {f"image_processor.{part}" for part in parts} & loaded


def test_the_server_loads_no_url_dialects_that_are_not_enabled() -> None:
    code = "import json, sys, image_processor.bootstrap.server; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {name for name in json.loads(done.stdout) if ".dialects." in name}


def test_commands_that_read_a_library_load_no_parts_of_the_server() -> None:
    """It takes a third of the time of `list` and `show`."""
    code = "import json, sys, image_processor.bootstrap.local_library; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    parts = {"api", "ingest", "delivery", "engine", "standalone.workers", "bootstrap.standalone"}
    assert not {f"image_processor.{part}" for part in parts} & loaded
