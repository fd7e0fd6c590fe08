"""Set up .venv-aws: LocalStack, and beside it (not in it) the Lambda runtime client for the functions.

It wants the Python that Lambda runs, because functions run in it. Without one, the tests that
need the emulated AWS are skipped, loudly; in CI that is a failure.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
VENV = ROOT / ".venv-aws"
sys.path.insert(0, str(ROOT / "deployment"))
import interpreter  # noqa: E402  # the builder of packages looks for the same one


def main(done: Path) -> int:
    """Install, and write ``done`` as a sign of it. Returns the exit status."""
    try:
        python = interpreter.find()
    except interpreter.NoInterpreter as error:
        sys.stderr.write(f"!! the tests with an emulated AWS are SKIPPED: {error}\n")
        return os.environ.get("CI") == "true"
    subprocess.run([python, "-m", "venv", "--clear", VENV], check=True)
    pip("-r", ROOT / "requirements" / "localstack.txt")
    pip("--target", VENV / "runtime", "-r", ROOT / "requirements" / "runtime-client.txt")
    done.touch()
    return 0


def pip(*arguments: str | Path) -> None:
    quietly = ("--disable-pip-version-check", "--quiet", "--require-hashes")
    subprocess.run([VENV / "bin" / "pip", "install", *quietly, *arguments], check=True)


if __name__ == "__main__":
    sys.exit(main(ROOT / sys.argv[1]))
