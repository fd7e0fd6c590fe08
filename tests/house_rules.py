"""The house's rules as tables, and a reader of source trees that tells where they are broken.

test_architecture.py holds the package to them, and holds this reader to planted mistakes.
"""

from __future__ import annotations

import ast
import graphlib
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "image_processor"

# Who may import whom. A room is a module or a folder directly under the package; it may always
# import from itself. web/ has no row because it has no Python.
VALUES = ("frozen", "digests", "errors", "formats", "keys", "transformation", "model")
ROOMS: dict[str, tuple[str, ...]] = {
    "__init__": (),
    # the ground floor, layer on layer
    "frozen": (),
    "digests": (),
    "errors": ("frozen",),
    "formats": ("frozen",),
    "globs": (),
    "toml_lines": (),
    "keys": ("digests", "errors", "formats"),
    "transformation": ("frozen", "digests", "errors", "formats", "keys"),
    "model": ("frozen", "errors", "formats", "keys", "transformation"),
    "settings": VALUES,
    "recipes": (*VALUES, "globs", "toml_lines"),
    "ports": VALUES,
    # a search over a catalog's port
    "similar": (*VALUES, "ports"),
    # what lies in the stores, as both ingest and delivery look at it
    "stock": (*VALUES, "ports"),
    # bytes + transformations -> bytes + facts: no keys, no stores, no HTTP
    "engine": ("frozen", "digests", "errors", "formats", "transformation", "model"),
    # signed HTTP requests, for the adapters that talk to AWS
    "aws": ("frozen", "digests", "errors"),
    # adapters
    "stores": (*VALUES, "ports", "aws"),
    "catalogs": (*VALUES, "ports", "aws"),
    # what the program does; never an adapter
    "ingest": (*VALUES, "recipes", "ports", "engine", "stock"),
    "delivery": (*VALUES, "recipes", "ports", "engine", "stock"),
    # only the one-machine server: watcher, worker threads, progress events
    "embedded": (*VALUES, "settings", "recipes", "ports", "engine", "stock", "ingest", "delivery"),
}
# The only room that knows both ports and adapters, and the entry points above it.
ROOMS["wiring"] = tuple(ROOMS)
ROOMS["http_api"] = tuple(ROOMS)
ROOMS["app"] = ROOMS["cli"] = tuple(ROOMS)
ROOMS["__main__"] = ("cli",)

# Where a library from outside may be imported. One that is not named here may be nowhere.
_EDGE = ("cli", "http_api", "embedded")
LIBRARIES: dict[str, tuple[str, ...]] = {
    "pyvips": ("engine",),
    "_libvips": ("engine",),
    "cv2": ("engine",),
    "pillow_heif": ("engine",),
    "pillow_jxl": ("engine",),
    "obstore": ("stores",),
    # of the standard library, but not of its public part
    "_sha2": ("digests",),
    "anyio": _EDGE,
    "fastapi": _EDGE,
    "mangum": ("app",),
    "pydantic": _EDGE,
    "rich": _EDGE,
    "starlette": _EDGE,
    "typer": _EDGE,
    "uvicorn": _EDGE,
    "watchfiles": _EDGE,
}
# What a cold start must never pay for, whoever imports it.
HEAVY = frozenset(
    {
        "boto3",
        "botocore",
        "cv2",
        "mangum",
        "numpy",
        *(name for name, rooms in LIBRARIES.items() if rooms == _EDGE),
    }
)

BANNED_WORDS = frozenset({"helper", "helpers", "manager", "service", "services", "util", "utils"})
BANNED_MODULES = BANNED_WORDS | {"common", "data", "info", "misc"}

LONGEST_FILE = 300
LONGEST_DOCSTRING = 5
# Files that are longer, each with the reason why it reads better whole.
LONG_FILES: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Module:
    """One file of the package: its path below the package, its dotted name, its syntax tree."""

    path: str
    name: str
    text: str
    tree: ast.Module
    imports: tuple[str, ...]

    @property
    def room(self) -> str:
        return Path(self.path).parts[0].removesuffix(".py")


def read(package: Path) -> list[Module]:
    """Every module under the folder ``package``, in the order of their paths."""
    paths = sorted(path.relative_to(package) for path in package.rglob("*.py"))
    known = frozenset(map(_name, paths))
    return [_read_one(package, path, known) for path in paths]


def violations(package: Path, long_files: dict[str, str] = LONG_FILES) -> list[str]:
    """Every broken rule as one line `path: what is wrong`."""
    modules = read(package)
    found = [
        f"{module.path}: {wrong}"
        for module in modules
        for rule in (_rooms, _libraries, _names, _docstring)
        for wrong in rule(module)
    ]
    return [*found, *_lengths(modules, long_files), *_cycles(modules)]


def _read_one(package: Path, path: Path, known: frozenset[str]) -> Module:
    text = (package / path).read_text(encoding="utf-8")
    tree = ast.parse(text, filename=str(path))
    here = [PACKAGE, *path.parent.parts]
    return Module(path.as_posix(), _name(path), text, tree, tuple(dict.fromkeys(_imports(tree, here, known))))


def _name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join((PACKAGE, *(parts[:-1] if parts[-1] == "__init__" else parts)))


def _imports(tree: ast.Module, here: list[str], known: frozenset[str]) -> Iterator[str]:
    """The dotted names of the modules that ``tree`` imports, at whatever depth in the code.

    `from . import keys` names a module, `from .keys import check_key` a value in one: what
    exists as a file decides.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = here[: len(here) - node.level + 1] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            for alias in node.names:
                full = f"{base}.{alias.name}"
                is_room = base == PACKAGE and alias.name in ROOMS
                yield full if full in known or is_room else base


def _rooms(module: Module) -> Iterator[str]:
    if module.room not in ROOMS:
        yield f"no room is called {module.room}: give it a row in ROOMS or move the file"
        return
    allowed = {module.room, "__init__", *ROOMS[module.room]}
    for name in module.imports:
        top, _, rest = name.partition(".")
        room = rest.partition(".")[0] or "__init__"
        if top == PACKAGE and room not in allowed:
            yield f"{module.room} must not import {room}"


def _libraries(module: Module) -> Iterator[str]:
    for name in module.imports:
        top = name.partition(".")[0]
        if top == PACKAGE or top in sys.stdlib_module_names:
            continue
        if module.room not in LIBRARIES.get(top, ()):
            yield f"{module.room} must not import the library {top}"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            yield "an import hidden in a call: write it as an import"


def _names(module: Module) -> Iterator[str]:
    stem = module.name.rpartition(".")[2]
    if stem in BANNED_MODULES:
        yield f"a module must not be called {stem}"
    # `handler` is Lambda's word for its entry point.
    banned = BANNED_WORDS if module.room == "app" else BANNED_WORDS | {"handler", "handlers"}
    for name in _defined(module.tree):
        if banned & {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}:
            yield f"{name} uses a word that says nothing"
    for node in ast.walk(module.tree):
        match node:
            case (
                ast.arg(arg="image", annotation=ast.Name(id="bytes"))
                | ast.AnnAssign(target=ast.Name(id="image"), annotation=ast.Name(id="bytes"))
            ):
                yield "bytes must not be called image: say original, rendition or body"


def _defined(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def _docstring(module: Module) -> Iterator[str]:
    if not module.tree.body:
        return  # an empty __init__.py has nothing to place
    lines = (ast.get_docstring(module.tree) or "").splitlines()
    if not lines:
        yield "no module docstring"
    if len(lines) > LONGEST_DOCSTRING:
        yield f"a module docstring of {len(lines)} lines, expected at most {LONGEST_DOCSTRING}"


def _lengths(modules: list[Module], long_files: dict[str, str]) -> Iterator[str]:
    too_long = {module.path for module in modules if len(module.text.splitlines()) > LONGEST_FILE}
    yield from (f"{path}: more than {LONGEST_FILE} lines" for path in sorted(too_long - set(long_files)))
    yield from (
        f"{path}: no longer too long, take it off LONG_FILES" for path in sorted(set(long_files) - too_long)
    )


def _cycles(modules: list[Module]) -> Iterator[str]:
    known = {module.name for module in modules}
    graph = {module.name: sorted(known.intersection(module.imports)) for module in modules}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        yield "a cycle of imports: " + " -> ".join(reversed(error.args[1]))
