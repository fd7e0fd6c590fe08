"""Wiring: Settings -> the running parts. The only room that knows both ports and adapters.

`machine` wires one machine, `cloud` wires a Lambda function; neither loads what the other needs.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    from . import machine  # noqa: PLC0415 - old name

    return getattr(machine, name)
