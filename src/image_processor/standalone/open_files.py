"""How many files the server may have open: `serve` allows itself more than most systems give a program, and
what is kept open without need leaves enough for the rest."""

from __future__ import annotations

import resource
import sys
from contextlib import suppress

_WANTED = 65_536
"""Some systems allow a billion, and programs that close all of them one by one would take minutes."""

_RESERVED = 900
"""400 connections, with an open file each, and what the program itself needs."""


def raise_limit() -> None:
    """Let this process have as many files open as the system allows, at most _WANTED. Children inherit it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _WANTED if hard == resource.RLIM_INFINITY else min(_WANTED, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    with suppress(OSError, ValueError):  # macOS allows fewer than its hard limit says
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def spare() -> int:
    """How many files may be kept open without need."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else max(0, soft - _RESERVED)
