"""Deployment: what the scripts print and ask, and how they end."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from typing import NoReturn

RED = "\x1b[31m"
_RESET = "\x1b[0m"


class Stopped(Exception):
    """The script ends here with exit status 1; the message says why."""


class Rejected(Exception):
    """Invalid input: the script ends with exit status 2 and prints every message."""

    def __init__(self, messages: Iterable[str]) -> None:
        self.messages = tuple(messages)
        super().__init__("\n".join(self.messages))


class Errors:
    """Collects errors, so that all of them are reported at once."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def add(self, *messages: str) -> None:
        self.messages += messages

    def stop(self) -> None:
        """Raise Rejected if there are errors."""
        if self.messages:
            raise Rejected(self.messages)


class Parser(argparse.ArgumentParser):
    """A parser whose errors are the scripts' own."""

    def error(self, message: str) -> NoReturn:
        name = message.removeprefix("argument ").partition(":")[0].partition("/")[0]
        raise Rejected([f"expected a value for {name}, got none"])


def say(text: str) -> None:
    print(f"\n== {text}", flush=True)


def detail(text: str) -> None:
    print(f"   {text}", flush=True)


def warn(text: str) -> None:
    print(in_colour(f"warning: {text}", RED, sys.stderr.isatty()), file=sys.stderr, flush=True)


def in_colour(text: str, colour: str, terminal: bool) -> str:  # noqa: FBT001  # the caller knows the stream
    """``text`` in a colour if it goes to a terminal; NO_COLOR turns colours off."""
    return f"{colour}{text}{_RESET}" if terminal and not os.environ.get("NO_COLOR") else text


def confirm(question: str) -> bool:
    print(f"\n{question} [y/N] ", end="", flush=True)
    try:
        return sys.stdin.readline().strip() in {"y", "yes"}
    except KeyboardInterrupt:
        return False


def ended(run: object, arguments: Sequence[str] | None = None) -> int:
    """The exit status of ``run(arguments)``."""
    assert callable(run)
    try:
        run(arguments)
    except Rejected as error:
        print(error, file=sys.stderr)
        return 2
    except Stopped as error:
        print(error, file=sys.stderr)
        return 1
    return 0
