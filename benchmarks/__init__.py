"""Speed of the engine, of cold Lambda functions and of the read path beside their peers; see __main__."""

from __future__ import annotations

import sys
from pathlib import Path

# The benchmarks use the tests' emulated AWS and Runtime API.
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
