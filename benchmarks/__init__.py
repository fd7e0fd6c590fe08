"""How quick the engine and a cold function are, beside their peers; see __main__."""

from __future__ import annotations

import sys
from pathlib import Path

# The emulated AWS and the Runtime API are the tests' own.
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
