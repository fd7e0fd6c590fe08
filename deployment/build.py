"""Deployment: makes the package of one Lambda function, for arm64 or x86_64, on any host.

`sam build` calls it through the Makefile beside it; `make package` makes a zip of the same tree.
Equal sources give equal packages, byte for byte: what did not change is not deployed again.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import bytecode
import interpreter
import roots

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src"
PACKAGE = "image_processor"
CACHE = ROOT / "build" / "cache"
REQUIREMENTS = ROOT / "requirements"
RECIPE = "recipe.toml"
BYTECODE = "bytecode.bin"
"""Where image_processor.aws_lambda.bytecode looks for it."""
LOADED = (PACKAGE, "obstore", "pyvips")
"""What a cold start loads modules of, beside the standard library."""
ROOTS = Path(PACKAGE, "aws", "roots.pem")
"""Where image_processor.aws.roots looks for them."""
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Package:
    """What goes into a function's package: a requirements file, and how many MiB it may be."""

    requirements: str
    limit: int


PACKAGES = {
    "process": Package("lambda.txt", 60),
    "deliver": Package("lambda.txt", 60),
    "api": Package("lambda-api.txt", 80),
}

# What --with adds to any of them, and how many MiB more it may be. A lock of an extra holds all of a
# function's pins, so that they agree; of two files the same pin is taken once.
EXTRAS = {"heic": Package("lambda-heic.txt", 45), "jxl": Package("lambda-jxl.txt", 30)}

# Newest first. Lambda runs python3.13 on Amazon Linux 2023, whose glibc is 2.34. pip takes a wheel
# only for a tag that it is told; obstore's for arm64 has manylinux_2_24 alone.
PLATFORMS = {
    arch: [f"{glibc}_{machine}" for glibc in ("manylinux_2_28", "manylinux_2_24", "manylinux2014")]
    for arch, machine in {"arm64": "aarch64", "x86_64": "x86_64"}.items()
}

# Only there as source, and pure Python as long as it finds no libvips to compile against: the
# compiled part comes with pyvips-binary, for the right processor.
FROM_SOURCE = "pyvips"

# What pip and libraries leave that no function reads.
LITTER = ("__pycache__", "tests", "bin", "*.pyi", "*.dist-info/[IR]*", "*.dist-info/*_url.json")


class BuildError(Exception):
    """The package cannot be made, or not as it must be."""


def build(
    package: Package, arch: str, into: Path, recipe: Path | None = None, extras: Sequence[str] = ()
) -> None:
    """Fill the folder ``into``, which is emptied before, with ``extras`` of EXTRAS. Raises BuildError."""
    if unknown := set(extras) - set(EXTRAS):
        raise BuildError(f"expected {' | '.join(EXTRAS)} for --with, got {' '.join(sorted(unknown))}")
    parts = [package, *(EXTRAS[extra] for extra in sorted(set(extras)))]
    with _alone():
        python = _toolchain()
        libraries = _libraries(python, [REQUIREMENTS / part.requirements for part in parts], arch)
    shutil.rmtree(into, ignore_errors=True)
    shutil.copytree(libraries, into)
    shutil.copytree(SOURCE / PACKAGE, into / PACKAGE, ignore=shutil.ignore_patterns(*LITTER))
    (into / ROOTS).write_text(_roots(python))
    if recipe:
        add_recipe(recipe, into)
    _parse_recipes(into)
    _compile(python, into, PACKAGE)
    tag = f"cpython-{interpreter.VERSION.replace('.', '')}"
    (into / BYTECODE).write_bytes(bytecode.pack(into, LOADED, tag))
    check_size(into, sum(part.limit for part in parts))


def pack(tree: Path, file: Path) -> None:
    """Write ``tree`` as a zip that depends on nothing but its content."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in _files(tree):
            entry = zipfile.ZipInfo(path.relative_to(tree).as_posix())  # dated 1980, as zips begin
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, path.read_bytes())


@contextmanager
def _alone() -> Iterator[None]:
    """Wait until no other build fills the cache."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _toolchain() -> Path:
    """A Python of Lambda's version with what building from source needs, made once."""
    pins = REQUIREMENTS / "build.txt"
    home = CACHE / f"python{interpreter.VERSION}-{_digest(pins)}"
    python, done = home / "bin" / "python", home / ".done"
    if not done.exists():
        _run(interpreter.find(), "-m", "venv", "--clear", home)
        _pip(python, "--require-hashes", "-r", pins)
        done.touch()
    return python


def _libraries(python: Path, requirements: Sequence[Path], arch: str) -> Path:
    """The folder of what ``requirements`` name, clean and compiled, made once: the pins say all."""
    name = "-".join(file.stem for file in requirements)
    ready = CACHE / f"{name}-{arch}-{_digest(*requirements, Path(__file__))}"
    if not ready.exists():
        making = CACHE / "making"
        shutil.rmtree(making, ignore_errors=True)
        _install(python, requirements, arch, making)
        _clean(making)
        _compile(python, making, ".")
        making.rename(ready)
    return ready


def _digest(*files: Path) -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


def _install(python: Path, requirements: Sequence[Path], arch: str, into: Path) -> None:
    pins = {name: pin for file in requirements for name, pin in _pins(file).items()}
    with tempfile.TemporaryDirectory() as folder:
        wheels, sources = Path(folder, "wheels.txt"), Path(folder, "sources.txt")
        wheels.write_text("".join(pin for name, pin in pins.items() if name != FROM_SOURCE))
        sources.write_text(pins[FROM_SOURCE])
        target = ("--require-hashes", "--no-deps", "--target", into)
        platforms = [f"--platform={platform}" for platform in PLATFORMS[arch]]
        version = f"--python-version={interpreter.VERSION}"
        _pip(python, *target, "--only-binary=:all:", "--implementation=cp", version, *platforms, "-r", wheels)
        # Without a cache: pip may hold a wheel of it that was compiled for this machine.
        no_libvips = {"PKG_CONFIG_LIBDIR": folder, "PKG_CONFIG_PATH": folder}
        _pip(python, *target, "--no-build-isolation", "--no-cache-dir", "-r", sources, **no_libvips)


def _pins(requirements: Path) -> dict[str, str]:
    """The pinned requirements of a file by name, each with its lines of hashes."""
    pins: dict[str, str] = {}
    name = ""
    for line in requirements.read_text(encoding="utf-8").splitlines(keepends=True):
        if not line.startswith((" ", "#")):
            name = line.partition("==")[0]
        pins[name] = pins.get(name, "") + line
    return pins


def _roots(python: Path) -> str:
    where = _run(python, "-m", "certifi").strip()
    try:
        return roots.amazons(Path(where).read_text(encoding="utf-8"))
    except roots.MissingRoots as error:
        raise BuildError(str(error)) from None


def add_recipe(recipe: Path, into: Path) -> None:
    """Put the recipe into the package if it is one; the package's own code judges it."""
    judge = (
        "import sys; from image_processor.config.recipe import parse_recipe as p; p(open(sys.argv[1]).read())"
    )
    done = subprocess.run(
        [sys.executable, "-c", judge, recipe],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BuildError(f"{recipe}: {done.stderr.strip().splitlines()[-1]}")
    shutil.copyfile(recipe, into / RECIPE)


def _parse_recipes(tree: Path) -> None:
    """Have the package's own code parse the recipes in it, which saves each cold start from it."""
    program = (
        "import json, sys; from pathlib import Path; from image_processor import recipes as r; "
        "from image_processor.bootstrap.recipe import PARSED; own = Path(sys.argv[1]); "
        "texts = [r.DEFAULT_RECIPE, *([own.read_text(encoding='utf-8')] if own.exists() else [])]; "
        "PARSED.write_text(json.dumps({text: r.parse_toml(text) for text in texts}))"
    )
    # -P: whatever lies in the current folder is not the package.
    _run(sys.executable, "-P", "-B", "-c", program, tree / RECIPE, PYTHONPATH=str(tree))


def _clean(tree: Path) -> None:
    for path in list(tree.rglob("*")):
        if any(path.match(pattern) for pattern in LITTER) and path.exists():
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _compile(python: Path, tree: Path, part: str) -> None:
    """Compile all bytecode below ``part``. A function cannot write beside its code, so a missing
    .pyc is missing at every cold start. Unchecked: no look at the source, no time stamp in it."""
    paths = ("-s", tree, "-p", "/var/task", tree / part)
    _run(python, "-m", "compileall", "-q", "--invalidation-mode=unchecked-hash", *paths)


def check_size(tree: Path, limit: int) -> None:
    sizes: dict[str, int] = {}
    for path in _files(tree):
        top = path.relative_to(tree).parts[0]
        sizes[top] = sizes.get(top, 0) + path.stat().st_size
    total = sum(sizes.values())
    largest = sorted(sizes, key=lambda top: -sizes[top])[:4]
    parts = ", ".join(f"{top} {sizes[top] / MIB:.1f}" for top in largest)
    print(f"package: {total / MIB:.1f} MiB unzipped of at most {limit} ({parts})")
    if total > limit * MIB:
        raise BuildError(f"expected at most {limit} MiB for the package, got {total / MIB:.1f}")


def _files(tree: Path) -> list[Path]:
    return sorted(path for path in tree.rglob("*") if path.is_file())


def _pip(python: Path, *arguments: str | Path, **environment: str) -> None:
    quiet = ("--quiet", "--disable-pip-version-check", "--no-input")
    _run(python, "-m", "pip", *quiet, "install", *arguments, **environment)


def _run(*command: str | Path, **environment: str) -> str:
    """What the command printed. Raises BuildError with it."""
    done = subprocess.run(
        list(map(str, command)),
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BuildError(f"{' '.join(map(str, command))}\n{done.stdout}")
    return done.stdout


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Make the package of a Lambda function.")
    parser.add_argument("function", choices=PACKAGES)
    parser.add_argument("--arch", choices=PLATFORMS, default=os.environ.get("ARCH", "arm64"))
    parser.add_argument("--into", type=Path, required=True, help="folder to fill")
    parser.add_argument("--zip", type=Path, help="zip to write of it")
    recipe = os.environ.get("RECIPE_FILE")
    parser.add_argument("--recipe", type=Path, default=recipe or None, help="recipe to add as recipe.toml")
    parser.add_argument("--with", dest="extras", choices=EXTRAS, action="append", help="formats to read too")
    given = parser.parse_args(arguments)
    extras = given.extras or os.environ.get("WITH", "").split()
    try:
        build(PACKAGES[given.function], given.arch, given.into, given.recipe, extras)
        if given.zip:
            pack(given.into, given.zip)
            print(f"package: {given.zip} ({given.zip.stat().st_size / MIB:.1f} MiB zipped)")
    except (BuildError, interpreter.NoInterpreter) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
