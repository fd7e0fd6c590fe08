"""Slow campaigns: `make stress` runs them, `make test` does not."""

from __future__ import annotations

import os

collect_ignore_glob = [] if os.environ.get("STRESS") else ["test_*.py"]
