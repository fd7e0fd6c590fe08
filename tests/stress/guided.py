"""Fuzzing guided by coverage: feeds a target of tests/fuzzing by atheris.

TARGET [libFuzzer's options and corpora]: anything that a target raises ends the program with the input in a
file. `--inputs FOLDER FILE` writes the target's valid inputs to begin with, and its words, instead.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["image_processor"], enable_loader_override=False):
    from fuzzing.registry import TARGETS


def _word(word: bytes) -> str:
    """A line of libFuzzer's dictionaries."""
    return '"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n'


def main() -> None:
    target = TARGETS[sys.argv.pop(1)]
    if sys.argv[1] == "--inputs":
        folder, words = sys.argv[2:]
        for number, data in enumerate(target.seeds()):
            Path(folder, str(number)).write_bytes(data)
        Path(words).write_text("".join(_word(word) for word in target.tokens if word))
        return
    atheris.Setup(sys.argv, target.check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
