"""The inputs of `process`, `upload` and `bench`: files and directories become uploads."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from image_processor.domain.errors import Invalid, Problem
from image_processor.domain.models import Upload

from .context import FileListing
from .output import printable

_NAME = "FILE|DIR"


class Input(Struct, frozen=True):
    """One input."""

    directory: Path
    """The directory, or the folder of a single file."""
    names: tuple[str, ...]
    """Its files, relative to ``directory``."""
    is_whole: bool
    """Whether all files below the directory were given."""
    folders: int = 0
    """How many of the last parts of the directory's path are part of the keys."""

    def upload(self, name: str) -> Upload:
        """The upload of a file. Its bucket is the path of a directory."""
        root, prefix = self.directory, ""
        for _ in range(self.folders):
            root, prefix = root.parent, f"{root.name}/{prefix}"
        return Upload(str(root), prefix + name)


def find_inputs(
    paths: Sequence[Path],
    out: Path | None,
    list_files: Callable[[Path], FileListing],
    skipped: Callable[[str], object],
) -> list[Input]:
    """One input per path. Those with a key in common keep the names of their folders.

    ``out`` is the directory of the output, if there is one; it must be outside of the inputs, and they of it.
    ``skipped`` is called with the names of what is left out. Raises Invalid with every problem.
    """
    problems: list[Problem] = []
    found: list[Input] = []
    target = out.resolve() if out else None
    for path in paths:
        if not (path.is_file() or path.is_dir()):
            problems.append(Problem(_NAME, "a file or directory that exists", repr(str(path))))
            continue
        # A link to a file keeps its own name, like a link that is found in a directory.
        resolved = path.resolve() if path.is_dir() else path.parent.resolve() / path.name
        if target and resolved.is_dir() and _overlap(target, resolved):
            problems.append(Problem("--out", f"a directory outside {path}", repr(str(out))))
            continue
        if not resolved.is_dir():
            found.append(Input(resolved.parent, (resolved.name,), is_whole=False))
            continue
        listing = list_files(resolved)
        for name in listing.skipped:
            skipped(name)
        found.append(Input(resolved, listing.keys, is_whole=True))
    if not any(item.names for item in found) and not problems:
        problems.append(Problem(_NAME, "at least one file", "none"))
    if problems:
        raise Invalid(problems)
    return _with_distinct_keys(_without_repetitions(found))


def report_left_out(name: str) -> None:
    """Say on standard error that a name in a directory is no input."""
    sys.stderr.write(f"left out: {printable(name)}: not a file, or its name is not UTF-8\n")


def _overlap(one: Path, other: Path) -> bool:
    return one.is_relative_to(other) or other.is_relative_to(one)


def _without_repetitions(inputs: Sequence[Input]) -> list[Input]:
    """Each file once: an input may be inside another."""
    seen: set[Path] = set()
    kept = []
    for item in inputs:
        names = tuple(name for name in item.names if item.directory / name not in seen)
        seen.update(item.directory / name for name in names)
        kept.append(replace(item, names=names))
    return kept


def _with_distinct_keys(inputs: list[Input]) -> list[Input]:
    while shared := set(_sharing(inputs)):
        if any(len(inputs[number].directory.parts) - 1 <= inputs[number].folders for number in shared):
            break
        inputs = [
            replace(item, folders=item.folders + 1) if number in shared else item
            for number, item in enumerate(inputs)
        ]
    return inputs


def _sharing(inputs: Sequence[Input]) -> Iterator[int]:
    """The numbers of the inputs that have a key that another one has."""
    owners = defaultdict(list)
    for number, item in enumerate(inputs):
        for name in item.names:
            owners[item.upload(name).key].append(number)
    for numbers in owners.values():
        if len(numbers) > 1:
            yield from numbers
