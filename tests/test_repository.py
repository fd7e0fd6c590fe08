"""What is tracked: text that installs anywhere and names no machine, and no stray binaries."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# This file is tracked too: written so that the pattern does not find itself.
REGISTRY_HOSTS = re.compile(r"[p]ypi[.]org|[p]ythonhosted[.]org|registry[.](?:[n]pmjs|[y]arnpkg)[.]")
MACHINE_PATHS = re.compile(r"(?<![\w.:~/-])/(?:work|root|home|Users|builds)/[\w.]")
PICTURES = frozenset({".png", ".svg", ".webp"})
# One pinned requirement: name, exact version, perhaps a marker, then nothing but hashes.
PINNED = re.compile(r"[\w.-]+(\[[\w,-]+\])?==[\w.!+]+( ; [^\\]+?)?( --hash=sha256:[0-9a-f]{64})+")


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    # A file may be deleted and not yet committed.
    return [path for name in listed.decode().split("\0") if name and (path := ROOT / name).is_file()]


# Pictures of the papers, of the page, and what the engine must go on making.
ARCHIVE_PLACE = "tests/compatibility"
PICTURE_PLACES = ("docs", "src/image_processor/web", "studio/public", "tests/engine/golden")


def mistakes(path: Path) -> list[str]:
    """What is wrong with one tracked file."""
    is_picture = path.suffix in PICTURES and any(
        path.is_relative_to(ROOT / place) for place in PICTURE_PLACES
    )
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        is_archive = path.suffix == ".xz" and path.is_relative_to(ROOT / ARCHIVE_PLACE)
        return [] if is_picture or is_archive else ["is not text"]
    if path.suffix == ".svg" and not is_picture:
        return [f"is a picture outside {' and '.join(PICTURE_PLACES)}"]
    rules = {"names a package registry": REGISTRY_HOSTS, "names a path of one machine": MACHINE_PATHS}
    return [f"{what}: {found[0]}" for what, rule in rules.items() if (found := rule.search(text))]


def unpinned(lock: str) -> list[str]:
    """The lines of a requirements file that are not one exact version with its hashes."""
    joined = re.sub(r"\s*\\\n\s*", " ", lock)
    return [line for line in joined.splitlines() if line.strip() and not PINNED.fullmatch(line)]


def test_no_tracked_file_is_binary_or_tied_to_a_place() -> None:
    wrong = {str(path.relative_to(ROOT)): found for path in tracked() if (found := mistakes(path))}
    assert wrong == {}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("https://files.python|hosted.org/x", "names a package registry"),
        ("https://registry.npm|js.org/sharp", "names a package registry"),
        ("cd /ro|ot/app", "names a path of one machine"),
        ("path = '/ho|me/someone'", "names a path of one machine"),
        ("- /ro|ot/.cache", "names a path of one machine"),
    ],
)
def test_a_violation_is_reported(tmp_path: Path, content: str, expected: str) -> None:
    file = tmp_path / "planted.txt"
    file.write_text(content.replace("|", ""))
    (found,) = mistakes(file)
    assert found.startswith(expected)


def test_a_planted_binary_is_seen(tmp_path: Path) -> None:
    for name, body in {"a.png": b"\x89PNG", "b.bin": b"\xff\xfe", "c.svg": b"<svg/>"}.items():
        (tmp_path / name).write_bytes(body)
        assert mistakes(tmp_path / name), name


@pytest.mark.parametrize("content", ["https://a.org/home/page", "./work/here", "a/" + "root/x", "~/work/x"])
def test_harmless_text_is_let_through(tmp_path: Path, content: str) -> None:
    file = tmp_path / "harmless.txt"
    file.write_text(content)
    assert mistakes(file) == []


@pytest.mark.parametrize("name", ["build", "server", "dev", "mutation"])
def test_a_lock_file_pins_versions_by_hash_and_names_no_index(name: str) -> None:
    lock = (ROOT / "requirements" / f"{name}.txt").read_text()
    assert "--hash=" in lock
    assert unpinned(lock) == []


@pytest.mark.parametrize(
    "line",
    [
        "cffi==2.1.1",
        "cffi>=2 \\\n    --hash=sha256:" + "0" * 64,
        "--index-url https://example.org/simple",
        "--find-links wheels",
        "cffi @ https://example.org/cffi.whl",
        "-e .",
    ],
)
def test_an_unpinned_line_is_seen(line: str) -> None:
    assert unpinned(f"rich==1.0 \\\n    --hash=sha256:{'1' * 64}\n{line}\n")


def test_npm_locks_pin_by_hash_and_name_no_address() -> None:
    for path in tracked():
        if path.name != "package-lock.json":
            continue
        packages = json.loads(path.read_text())["packages"]
        assert not [name for name, package in packages.items() if "resolved" in package]
        # A bundled package is in the archive of another one, whose hash it shares.
        own = {name: package for name, package in packages.items() if name and not package.get("inBundle")}
        assert own
        assert not [name for name, package in own.items() if "integrity" not in package]
