"""Deployment: builds the package of one Lambda function, for arm64 or x86_64, on any host.

`sam build` calls it through the Makefile beside it; `make package` makes a zip of the same tree.
Builds are reproducible: equal sources give equal packages, so unchanged functions are not deployed.
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

import interpreter

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src"
PACKAGE = "image_processor"
CACHE = ROOT / "build" / "cache"
REQUIREMENTS = ROOT / "requirements"
RECIPE = "recipe.toml"
MIB = 1024 * 1024
COMPRESSION = 9


@dataclass(frozen=True, slots=True)
class Package:
    """A function's package: its requirements file, and its largest size in MiB."""

    requirements: str
    limit: int


PACKAGES = {
    "process": Package("lambda.txt", 60),
    "reconcile": Package("lambda.txt", 60),
    "deliver": Package("lambda.txt", 60),
    "api": Package("lambda-api.txt", 80),
    "invalidate": Package("lambda-publish.txt", 45),
    "publish": Package("lambda-publish.txt", 45),
}

# The options of --with, each with its requirements file and additional MiB. The lock of an extra holds
# all pins of a function, so that they agree; a pin in both files is installed once.
EXTRAS = {"heic": Package("lambda-heic.txt", 45), "jxl": Package("lambda-jxl.txt", 30)}

# Newest first. Lambda runs python3.13 on Amazon Linux 2023, whose glibc is 2.34. pip accepts a wheel
# only for the tags given; obstore's for arm64 has manylinux_2_24 alone.
PLATFORMS = {
    arch: [f"{glibc}_{machine}" for glibc in ("manylinux_2_28", "manylinux_2_24", "manylinux2014")]
    for arch, machine in {"arm64": "aarch64", "x86_64": "x86_64"}.items()
}

# Published only as source, and pure Python unless it finds libvips to compile against. Its compiled
# part comes with pyvips-binary, for the right processor.
FROM_SOURCE = "pyvips"

# Files of pip and of libraries that no function reads.
EXCLUDED = ("__pycache__", "tests", "bin", "*.pyi", "*.dist-info/[IR]*", "*.dist-info/*_url.json")


class BuildError(Exception):
    """The package cannot be built, or breaks a limit."""


def build(
    package: Package, arch: str, into: Path, recipe: Path | None = None, extras: Sequence[str] = ()
) -> None:
    """Empty the folder ``into`` and fill it with the package, ``recipe`` and ``extras`` (names of EXTRAS).
    Raises BuildError."""
    if unknown := set(extras) - set(EXTRAS):
        raise BuildError(f"expected {' | '.join(EXTRAS)} for --with, got {' '.join(sorted(unknown))}")
    parts = [package, *(EXTRAS[extra] for extra in sorted(set(extras)))]
    with _cache_lock():
        python = _toolchain()
        libraries = _libraries(python, [REQUIREMENTS / part.requirements for part in parts], arch)
    shutil.rmtree(into, ignore_errors=True)
    shutil.copytree(libraries, into)
    shutil.copytree(SOURCE / PACKAGE, into / PACKAGE, ignore=shutil.ignore_patterns(*EXCLUDED))
    if recipe:
        add_recipe(python, recipe, into)
    _compile(python, into, PACKAGE)
    check_size(into, sum(part.limit for part in parts))


def pack(tree: Path, file: Path) -> None:
    """Write ``tree`` as a zip that depends only on its content."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=COMPRESSION) as archive:
        for path in _files(tree):
            entry = zipfile.ZipInfo(path.relative_to(tree).as_posix())  # dated 1980-01-01
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, path.read_bytes())


@contextmanager
def _cache_lock() -> Iterator[None]:
    """Keep other builds from filling the cache."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _toolchain() -> Path:
    """A venv of Lambda's Python version with requirements/build.txt, created once."""
    pins = REQUIREMENTS / "build.txt"
    home = CACHE / f"python{interpreter.VERSION}-{_digest(pins)}"
    python, done = home / "bin" / "python", home / ".done"
    if not done.exists():
        _run(interpreter.find(), "-m", "venv", "--clear", home)
        _pip(python, "--require-hashes", "-r", pins)
        done.touch()
    return python


def _libraries(python: Path, requirements: Sequence[Path], arch: str) -> Path:
    """A folder with the libraries of ``requirements``, cleaned and compiled, cached by their pins."""
    name = "-".join(file.stem for file in requirements)
    ready = CACHE / f"{name}-{arch}-{_digest(*requirements, Path(__file__))}"
    if not ready.exists():
        partial = CACHE / "partial"
        shutil.rmtree(partial, ignore_errors=True)
        _install(python, requirements, arch, partial)
        _clean(partial)
        _compile(python, partial, ".")
        partial.rename(ready)
    return ready


def _digest(*files: Path) -> str:
    digests = (hashlib.sha256(file.read_bytes()).digest() for file in files)
    return hashlib.sha256(b"".join(digests)).hexdigest()[:12]


def _install(python: Path, requirements: Sequence[Path], arch: str, into: Path) -> None:
    pins = {name: pin for file in requirements for name, pin in _pins(file).items()}
    with tempfile.TemporaryDirectory() as folder:
        wheels, sources = Path(folder, "wheels.txt"), Path(folder, "sources.txt")
        wheels.write_text("".join(pin for name, pin in pins.items() if name != FROM_SOURCE))
        # _compile does it, for the paths in Lambda.
        target = ("--require-hashes", "--no-deps", "--no-compile", "--target", into)
        platforms = [f"--platform={platform}" for platform in PLATFORMS[arch]]
        version = f"--python-version={interpreter.VERSION}"
        _pip(python, *target, "--only-binary=:all:", "--implementation=cp", version, *platforms, "-r", wheels)
        if FROM_SOURCE not in pins:
            return
        sources.write_text(pins[FROM_SOURCE])
        # Without pip's cache, which may hold a wheel compiled for this machine.
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


def add_recipe(python: Path, recipe: Path, into: Path) -> None:
    """Validate the recipe with the package's own code and copy it. Raises BuildError."""
    program = (
        "import sys; from image_processor.config.recipe import parse_recipe as p; p(open(sys.argv[1]).read())"
    )
    done = subprocess.run(
        [python, "-P", "-B", "-c", program, recipe],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BuildError(f"{recipe}: {done.stderr.strip().splitlines()[-1]}")
    shutil.copyfile(recipe, into / RECIPE)


def _clean(tree: Path) -> None:
    for path in list(tree.rglob("*")):
        if any(path.match(pattern) for pattern in EXCLUDED) and path.exists():
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _compile(python: Path, tree: Path, part: str) -> None:
    """Compile every module below ``part``. A function cannot write .pyc files, so a missing one costs
    every cold start. Unchecked hashes make Python skip the source, and hold no timestamp."""
    paths = ("-s", tree, "-p", "/var/task", tree / part)
    _run(python, "-m", "compileall", "-q", "--invalidation-mode=unchecked-hash", *paths)


def check_size(tree: Path, limit: int) -> None:
    """Print the sizes of the largest parts. Raises BuildError above ``limit`` MiB."""
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
    """The output of the command. Raises BuildError with it on failure."""
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
    parser = argparse.ArgumentParser(description="Build the package of a Lambda function.")
    parser.add_argument("function", choices=PACKAGES)
    parser.add_argument("--arch", choices=PLATFORMS, default=os.environ.get("ARCH", "arm64"))
    parser.add_argument("--into", type=Path, required=True, help="folder to fill")
    parser.add_argument("--zip", type=Path, help="zip file to write")
    recipe = os.environ.get("RECIPE_FILE")
    parser.add_argument("--recipe", type=Path, default=recipe or None, help="recipe to add as recipe.toml")
    parser.add_argument(
        "--with", dest="extras", choices=EXTRAS, action="append", help="additional formats to read"
    )
    options = parser.parse_args(arguments)
    extras = options.extras or os.environ.get("WITH", "").split()
    try:
        build(PACKAGES[options.function], options.arch, options.into, options.recipe, extras)
        if options.zip:
            pack(options.into, options.zip)
            print(f"package: {options.zip} ({options.zip.stat().st_size / MIB:.1f} MiB zipped)")
    except (BuildError, interpreter.NoInterpreter) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
