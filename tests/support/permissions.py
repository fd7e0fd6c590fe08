"""Runs a program as one that file permissions bind, also if the tests run as root."""

from __future__ import annotations

import ctypes
import os

_PR_CAPBSET_DROP = 24
_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 1, 2
# Loaded here, because `obey_permissions` runs between fork and exec.
_libc = ctypes.CDLL(None, use_errno=True)


def obey_permissions() -> None:
    """For `preexec_fn`: what is executed next may not read files whose mode denies it. Capabilities and not
    another user, because the interpreter itself may lie in root's home."""
    if os.geteuid() != 0:
        return
    for capability in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH):
        if _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "a capability cannot be dropped")
