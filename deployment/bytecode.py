"""Deployment: puts the bytecode of a package's modules into one file, which aws_lambda/bytecode.py
loads them from: the length of a table, the table, and each module's marshalled code.
"""

from __future__ import annotations

import marshal
from pathlib import Path

SIZE = 8
_PYC_HEADER = 16
"""Bytes before the code in a .pyc file (PEP 552)."""


def pack(tree: Path, tops: tuple[str, ...], tag: str) -> bytes:
    """What is in the packages ``tops`` of ``tree``, compiled by the Python of that cache ``tag``."""
    table: dict[str, tuple[int, int, str]] = {}
    codes: list[bytes] = []
    end = 0
    for source in sorted(path for top in tops for path in (tree / top).rglob("*.py")):
        file = source.relative_to(tree)
        parts = file.parent.parts if file.name == "__init__.py" else file.with_suffix("").parts
        code = (source.parent / "__pycache__" / f"{source.stem}.{tag}.pyc").read_bytes()[_PYC_HEADER:]
        table[".".join(parts)] = (end, end + len(code), file.as_posix())
        codes.append(code)
        end += len(code)
    told = marshal.dumps(table)
    return len(told).to_bytes(SIZE, "big") + told + b"".join(codes)
