"""template.yaml holds what generate.py makes of the sources, and minifying does not change the results."""

from __future__ import annotations

import json
import os
from pathlib import Path

import generate
import pytest
from edge_function import MAX_BYTES, Host
from edge_stack import function_code

from image_processor.delivery.url import parameter_names as names


@pytest.fixture(scope="module")
def terser() -> Path:
    """The minifier. CI installs it; elsewhere its tests are skipped without it."""
    if not generate.TERSER.exists():
        message = "terser is not installed: run `npm ci` in deployment/edge"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return generate.TERSER


@pytest.fixture
def files(terser: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Copies of both files, which generate.py writes to."""
    del terser
    copies = []
    for name in ("SOURCE", "TEMPLATE"):
        file: Path = getattr(generate, name)
        copies.append(tmp_path / file.name)
        copies[-1].write_bytes(file.read_bytes())
        monkeypatch.setattr(generate, name, copies[-1])
    return copies[0], copies[1]


def test_the_tables_are_up_to_date() -> None:
    source = generate.SOURCE.read_text(encoding="utf-8")
    assert generate.with_tables(source) == source, "run `make edge`"


def test_the_template_is_up_to_date(terser: Path) -> None:
    del terser
    code = generate.minify(generate.SOURCE.read_text(encoding="utf-8"))
    template = generate.TEMPLATE.read_text(encoding="utf-8")
    assert generate.with_function(template, code) == template, "run `make edge`"
    assert function_code() == code + "var CORS_ORIGIN = '*';\n"


def test_the_function_is_small_enough() -> None:
    # The longest origin that a browser sends has a host name of 253 bytes.
    assert len(f"var CORS_ORIGIN = 'https://{'a' * 253}:65535';\n") <= MAX_BYTES - generate.MAX_BYTES
    assert len(function_code().encode()) <= generate.MAX_BYTES


def test_a_new_alias_reaches_the_template(files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "ALIASES", {**names.ALIASES, "breadth": "w"})
    before = [file.read_text() for file in files]
    assert generate.main() == 0
    assert all("breadth:" in file.read_text() for file in files)
    monkeypatch.undo()
    assert before == [generate.SOURCE.read_text(), generate.TEMPLATE.read_text()]


def test_a_function_that_is_too_large_is_not_written(
    files: tuple[Path, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generate, "MAX_BYTES", 8000)
    before = [file.read_text() for file in files]
    assert generate.main() == 1
    assert "expected at most 8000 bytes of function, got" in capsys.readouterr().err
    assert [file.read_text() for file in files] == before


def test_the_minifier_is_locked_without_download_addresses() -> None:
    lock = json.loads((generate.HERE / "package-lock.json").read_text(encoding="utf-8"))
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert "node_modules/terser" in packages
    for package in packages.values():
        assert package["integrity"].startswith("sha512-")
        assert "resolved" not in package


def test_the_minified_function_returns_what_the_source_returns(node: Host) -> None:
    source = generate.SOURCE.read_text(encoding="utf-8")
    urls = [["a/b", "W=640&fm=jpg&over=x&over=y", 30], ["a", "foo=1", 3], ["a/~w=1,fm=webp.webp", "s=1", 3]]
    results = [node.each(code, "parseUrl", urls) for code in (source, function_code())]
    assert results[0] == results[1]
    assert len({str(result) for result in results[0]}) == len(urls)
