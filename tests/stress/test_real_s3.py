"""`serve` over an S3 server that is no emulation: `rclone serve s3`, which checks signatures.

It ignores the conditions of writes, so `serve` refuses it. (Even where that is accepted nothing is processed:
rclone 1.75 answers 200 to a request for a range.)
"""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.served import RECIPE, Served
from support.waiting import wait_for

ROOT = Path(__file__).parent.parent.parent
RCLONE = ROOT / ".venv-stress" / "bin" / "rclone"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Where the S3 server has its buckets, as folders."""
    for bucket in ("uploads", "processed"):
        (tmp_path / "s3" / bucket).mkdir(parents=True)
    return tmp_path / "s3"


@pytest.fixture
def settings(folders: Path) -> Iterator[dict[str, str]]:
    if not RCLONE.exists():
        missing = (
            f"NO REAL S3 SERVER: expected {RCLONE.relative_to(ROOT)}, which make stress sets up, got none"
        )
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    port = free_port()
    command = [RCLONE, "serve", "s3", folders, "--addr", f"127.0.0.1:{port}", "--auth-key", "key,secret"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as server:
        wait_for(lambda: answers(port), "the S3 server")
        yield {
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "IMAGE_PROCESSOR_UPLOAD_BUCKET": "uploads",
            "IMAGE_PROCESSOR_PROCESSED_BUCKET": "processed",
            "IMAGE_PROCESSOR_SWEEP_SECONDS": "1",
        }
        server.terminate()


@pytest.fixture
def server(tmp_path: Path, settings: dict[str, str]) -> Iterator[Served]:
    (tmp_path / "server").mkdir()
    server = Served(tmp_path / "server", RECIPE, settings)
    yield server
    server.close()


def test_a_service_that_would_lose_uploads_is_refused(server: Served, folders: Path) -> None:
    with pytest.raises(AssertionError, match="which ignores them"):
        server.start()
    assert server.process.wait() == 2
    assert not any((folders / "processed").iterdir())
