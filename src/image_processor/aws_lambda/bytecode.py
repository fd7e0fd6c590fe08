"""AWS entry points: loads modules out of one file, where deployment/bytecode.py has put them into one.

To find and open some 130 files takes 3 ms of a cold start. All else is as ever: the files are there, too,
and tracebacks show their lines.
"""

from __future__ import annotations

import _imp
import marshal
import os
import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

NAME = "bytecode.bin"
_SIZE = 8
"""Bytes at the beginning, that tell how long the table is which follows them."""

Table = Mapping[str, tuple[int, int, str]]
"""For each module where its bytecode begins and ends, and its file below the package's folder."""


def install() -> None:
    """Load what the file has from it, if there is one."""
    # Not by pathlib, which takes 4 ms to load.
    root = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))  # noqa: PTH120
    try:
        with open(os.path.join(root, NAME), "rb") as file:  # noqa: PTH118, PTH123
            packed = file.read()
    except FileNotFoundError:
        return
    sys.meta_path.insert(0, _Loader(root, packed))


class _Loader:
    """Finds and loads modules ("The import system": a meta path finder that is the loader, too)."""

    def __init__(self, root: str, packed: bytes) -> None:
        begin = _SIZE + int.from_bytes(packed[:_SIZE], "big")
        self._root = root
        self._table: Table = marshal.loads(packed[_SIZE:begin])  # noqa: S302 - our own, as .pyc files are
        self._codes = memoryview(packed)[begin:]

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del path, target  # of what is packed there is one
        if name not in self._table:
            return None
        file = os.path.join(self._root, self._table[name][2])  # noqa: PTH118
        package = file.endswith("__init__.py")
        spec = ModuleSpec(name, self, origin=file, is_package=package)  # type: ignore[arg-type]  # by its shape
        spec.has_location = True
        if package:
            spec.submodule_search_locations = [os.path.dirname(file)]  # noqa: PTH120
        return spec

    def create_module(self, spec: ModuleSpec) -> None:
        """The usual one."""

    def exec_module(self, module: ModuleType) -> None:
        begin, end, file = self._table[module.__name__]
        code = marshal.loads(self._codes[begin:end])  # noqa: S302 - as above
        # As importlib does: it was compiled for /var/task, and tracebacks look for its lines there.
        _imp._fix_co_filename(code, os.path.join(self._root, file))  # type: ignore[attr-defined]  # noqa: SLF001, PTH118
        exec(code, module.__dict__)  # noqa: S102 - as importlib does
