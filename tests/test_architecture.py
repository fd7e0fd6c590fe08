"""The package keeps the house's rules, and the rules' reader sees every planted mistake."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import house_rules
import image_processor
from house_rules import HEAVY, LIBRARIES, LONG_FILES, PACKAGE, ROOMS, violations

SOURCE = Path(image_processor.__file__).parent
HOT_MODULES = ("image_processor.ingest.process", "image_processor.engine.render")
HOT_ROOMS = ("ingest", "engine", "delivery")

# Imports modules one by one and tells which of the heavy libraries each of them has loaded.
_COLD_START = """
import importlib, json, sys
heavy, modules = json.loads(sys.argv[1])
loaded = {}
for name in modules:
    importlib.import_module(name)
    loaded[name] = sorted(set(heavy) & set(sys.modules))
print(json.dumps(loaded))
"""


def plant(root: Path, files: dict[str, str]) -> Path:
    """A package folder of the given files. A module gets a docstring unless it brings its own."""
    for path, code in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        bare = code.startswith('"""') or path.endswith("__init__.py")
        file.write_text(code if bare else f'"""A place in the flow."""\n{code}\n')
    return root


def test_the_package_keeps_the_house_rules() -> None:
    assert violations(SOURCE) == []


def test_a_tree_in_order_has_no_violations(tmp_path: Path) -> None:
    clean = {
        "__init__.py": '"""The package."""\n__version__ = "1"',
        "errors.py": "import os.path",
        "model.py": "from .errors import Reason",
        "engine/__init__.py": "",
        "engine/probe.py": "import pyvips\nfrom .. import errors\nfrom ..model import Limits",
        "engine/render.py": "from . import probe\nfrom .probe import probe as look",
        "ports.py": "from image_processor.domain.models import Claim",
        "stores/directory.py": "from ..ports import ObjectStore",
        "wiring.py": "from .stores import directory\nfrom .engine.render import render",
        "app.py": "def handler(event): ...",
        "cli.py": "from . import __version__, wiring\nimport typer",
    }
    assert violations(plant(tmp_path, clean)) == []


@pytest.mark.parametrize(
    ("path", "code", "expected"),
    [
        ("ingest/plan.py", "from ..stores.directory import DirectoryStore", "ingest must not import stores"),
        ("ingest/plan.py", "from image_processor import stores", "ingest must not import stores"),
        ("ingest/plan.py", "import image_processor.storage.directory", "ingest must not import stores"),
        ("ingest/plan.py", "def f():\n    from .. import catalogs", "ingest must not import catalogs"),
        ("delivery/deliver.py", "from ..ingest import plan", "delivery must not import ingest"),
        ("engine/render.py", "from .. import keys", "engine must not import keys"),
        ("engine/render.py", "from ..ports import ObjectStore", "engine must not import ports"),
        ("stores/directory.py", "from ..ingest import plan", "stores must not import ingest"),
        ("stores/directory.py", "from ..catalogs import x", "stores must not import catalogs"),
        ("embedded/watcher.py", "from ..wiring import build", "embedded must not import wiring"),
        ("errors.py", "from . import model", "errors must not import model"),
        ("model.py", "from .ports import Query", "model must not import ports"),
        ("wiring.py", "from . import cli", "wiring must not import cli"),
        ("http_api/app.py", "from ..cli import main", "http_api must not import cli"),
        ("ports.py", "import numpy", "ports must not import the library numpy"),
        ("ingest/process.py", "import pyvips", "ingest must not import the library pyvips"),
        ("engine/render.py", "from pydantic import BaseModel", "engine must not import the library pydantic"),
        ("cli.py", "import boto3", "cli must not import the library boto3"),
        ("app.py", "from starlette.responses import Response", "app must not import the library starlette"),
        ("keys.py", "__import__('boto3')", "an import hidden in a call"),
        ("keys.py", "import importlib\nimportlib.import_module('boto3')", "an import hidden in a call"),
        ("wiring.py", "from .http_api.views import ImageView", "wiring must not import http_api"),
        ("__main__.py", "from .wiring import running", "__main__ must not import wiring"),
        ("web/page.py", "", "no room is called web"),
        ("thumbnails.py", "", "no room is called thumbnails"),
        ("engine/utils.py", "", "a module must not be called utils"),
        ("engine/data.py", "", "a module must not be called data"),
        ("stores/manager/__init__.py", "", "a module must not be called manager"),
        ("keys.py", "class KeyManager: ...", "KeyManager uses a word that says nothing"),
        ("keys.py", "def key_helper(): ...", "key_helper uses a word that says nothing"),
        ("keys.py", "def f(service): ...", "service uses a word that says nothing"),
        ("keys.py", "def f():\n    utils = 1", "utils uses a word that says nothing"),
        ("http_api/app.py", "def handler(event): ...", "handler uses a word that says nothing"),
        ("engine/render.py", "def f(image: bytes): ...", "bytes must not be called image"),
        ("engine/render.py", "image: bytes = b''", "bytes must not be called image"),
        ("keys.py", '"""' + "line\n" * 6 + '"""', "a module docstring of 6 lines, expected at most 5"),
        ("keys.py", '""""""\nx = 1', "no module docstring"),
        ("keys.py", "\n" * 300, "more than 300 lines"),
    ],
)
def test_a_planted_violation_is_seen(tmp_path: Path, path: str, code: str, expected: str) -> None:
    found = violations(plant(tmp_path, {"errors.py": "", path: code}))
    assert [line for line in found if line.startswith(f"{path}: {expected}")], found


@pytest.mark.parametrize(
    "files",
    [
        {"engine/a.py": "from . import b", "engine/b.py": "from .a import x"},
        {
            "engine/a.py": "from .b import x",
            "engine/b.py": "def f():\n    from .c import y",
            "engine/c.py": "from . import a",
        },
    ],
)
def test_a_planted_cycle_is_seen(tmp_path: Path, files: dict[str, str]) -> None:
    (found,) = violations(plant(tmp_path, files))
    assert found.startswith("a cycle of imports: ")
    assert all(f"{PACKAGE}.engine.{Path(path).stem}" in found for path in files)


def test_a_long_file_needs_a_reason_only_while_it_is_long(tmp_path: Path) -> None:
    plant(tmp_path, {"keys.py": "\n" * 300, "model.py": ""})
    assert violations(tmp_path, {"keys.py": "one table"}) == []
    assert violations(tmp_path, {"keys.py": "one table", "model.py": "was long"}) == [
        "model.py: no longer too long, take it off LONG_FILES"
    ]
    assert all(LONG_FILES.values())


def test_the_tables_of_rooms_agree_with_each_other() -> None:
    """Every room named as importable has a row, and the rows themselves have no cycle."""
    rows = list(ROOMS)
    for room, allowed in ROOMS.items():
        assert all(rows.index(other) < rows.index(room) for other in allowed), room
    assert all(room in ROOMS for rooms in LIBRARIES.values() for room in rooms)


def test_a_cold_start_loads_no_heavy_library() -> None:
    """In a fresh interpreter, as Lambda starts one. A hot module that is missing fails the import."""
    modules = {
        *HOT_MODULES,
        *(module.name for module in house_rules.read(SOURCE) if module.room in HOT_ROOMS),
    }
    arguments = json.dumps([sorted(HEAVY), sorted(modules)])
    done = subprocess.run(
        [sys.executable, "-c", _COLD_START, arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {name: [] for name in sorted(modules)}


def test_the_cold_start_check_sees_a_heavy_library() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _COLD_START, json.dumps([sorted(HEAVY), ["typer"]])],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "typer" in json.loads(done.stdout)["typer"]


# Of the optional groups, what only a machine that talks to AWS has.
_ONLY_ON_AWS = """
import sys
for name in ("obstore", "mangum", "boto3", "awslambdaric"):
    sys.modules[name] = None
import image_processor.cli.commands, image_processor.api.machine_app, image_processor.api.server
"""


def test_one_machine_does_without_what_only_aws_needs() -> None:
    subprocess.run([sys.executable, "-c", _ONLY_ON_AWS], check=True)
