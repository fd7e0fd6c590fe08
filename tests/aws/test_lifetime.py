"""However the tests end, nothing of the emulated AWS is left running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.aws_emulation.server import PYTHON
from support.waiting import wait_for

HOLDER = """
import sys
from pathlib import Path
from support.aws_emulation.server import EmulatedAws
with EmulatedAws(Path(sys.argv[1])) as aws:
    print(aws.process.pid, flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(not PYTHON.exists() and os.environ.get("CI") != "true", reason="no .venv-aws")
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_ending_the_holder_ends_the_whole_process_group(tmp_path: Path, end: signal.Signals) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, tmp_path],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    group = int(holder.stdout.readline())
    assert alive(group)
    holder.send_signal(end)
    holder.communicate()
    wait_for(lambda: not alive(group), "the end of LocalStack's process group")


def alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
