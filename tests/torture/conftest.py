"""Slow campaigns: `make torture` runs them, `make test` does not."""

from __future__ import annotations

import os

collect_ignore_glob = [] if os.environ.get("TORTURE") else ["test_*.py"]
