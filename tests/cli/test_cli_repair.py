"""`doctor` and a damaged catalog."""

from __future__ import annotations

from pathlib import Path

import pytest
from pictures_for_cli import RECIPE, draw

from image_processor.catalog.sqlite import SqliteCatalog
from image_processor.standalone.data_dir_lock import DataDirLock

CATALOG = Path("data/catalog.sqlite")


@pytest.fixture
def library(run):
    """Two originals with their renditions, and `run`."""
    Path("r.toml").write_text(RECIPE)
    for name in ("a", "b"):
        draw(f"data/uploads/{name}.jpg")
    assert run("reconcile", "--recipe", "r.toml")[0] == 0
    return run


def keys():
    catalog = SqliteCatalog(CATALOG)
    found = sorted(record.key for record in catalog.scan())
    catalog.close()
    return found


def test_a_damaged_catalog_is_named_and_rebuilt(library):
    CATALOG.write_bytes(b"this is no database" * 1000)
    status, _, err = library("list")
    assert (status, err.count("data/catalog.sqlite is damaged"), "doctor --repair" in err) == (3, 1, True)
    status, _, err = library("doctor")
    assert (status, "data/catalog.sqlite is damaged" in err) == (3, True)
    status, out, err = library("doctor", "--repair", "--recipe", "r.toml")
    assert (status, err) == (0, "")
    assert "kept 0 records" in out
    assert "2 found" in out
    assert keys() == ["a.jpg", "b.jpg"]
    (aside,) = Path("data").glob("catalog.sqlite.damaged-*")
    assert aside.read_bytes().startswith(b"this is no database")
    assert library("doctor")[0] == 0


def test_an_intact_catalog_is_left_alone(library):
    before = CATALOG.read_bytes()
    assert library("doctor", "--repair") == (0, "the catalog data/catalog.sqlite is intact\n", "")
    assert CATALOG.read_bytes() == before


def test_nothing_is_repaired_while_a_server_runs(library):
    CATALOG.write_bytes(b"this is no database" * 1000)
    with DataDirLock(Path("data")):
        status, _, err = library("doctor", "--repair")
    assert (status, "a server already works on data" in err) == (3, True)
    assert CATALOG.read_bytes() == b"this is no database" * 1000


@pytest.mark.parametrize("options", [("--stack", "images"), ("--data", "nowhere")])
def test_there_must_be_a_catalog(library, options):
    status, _, err = library("doctor", "--repair", *options)
    assert (status, options[0] in err) == (2, True)
