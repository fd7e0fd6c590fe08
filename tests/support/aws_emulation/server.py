"""The emulated AWS as tests see it: started, asked and stopped from the project's own venv."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.request import Request, urlopen

import boto3
from botocore.config import Config

ROOT = Path(__file__).parents[3]
VENV = ROOT / ".venv-aws"
PYTHON = VENV / "bin" / "python"
RUNTIME = VENV / "runtime"
REGION = "us-east-1"
ACCOUNT = "000000000000"


class NotInstalled(Exception):
    """There is no .venv-aws, because tests/aws/install.py has not run or has found no Python for it."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One judgement of enforcement.py: ``who`` is a role's name or a service's."""

    who: str
    allowed: bool
    action: str
    resource: str


class EmulatedAws:
    """LocalStack in a process group of its own, on a free port, with its files in a folder of its own.

    Whoever holds it may end in any way, even by SIGKILL: the group ends with it.
    """

    def __init__(self, folder: Path) -> None:
        if not PYTHON.exists():
            raise NotInstalled(f"no {VENV.name}: `make test` installs it, or says why not")
        self.endpoint = f"http://127.0.0.1:{_free_port()}"
        journal = folder / "decisions.jsonl"
        journal.touch()
        self._journal = _Lines(journal)
        self._decisions: list[Decision] = []
        self._clients: dict[str, Any] = {}
        self._log = folder / "localstack.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [PYTHON, "-m", __package__, RUNTIME, journal],
                cwd=folder,
                env=self._environment(folder),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        assert self.process.stdout is not None
        if self.process.stdout.readline() != b"ready\n":
            self.stop()
            raise RuntimeError(f"LocalStack did not start:\n{self.log()[-4000:]}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the whole group at once; there is nothing to save."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()

    def client(self, service: str, session: Mapping[str, Any] | None = None) -> Any:
        """A client of the account's owner, to whom enforcement does not apply, or of a role's session
        (the Credentials that AssumeRole answers)."""
        if session is not None:
            return self._new_client(service, session)
        if service not in self._clients:
            self._clients[service] = self._new_client(
                service, {"AccessKeyId": "test", "SecretAccessKey": "test"}
            )
        return self._clients[service]

    def _new_client(self, service: str, session: Mapping[str, Any]) -> Any:
        # S3's older signature, which boto3 presigns with unless told, names nobody that is known here.
        signature = {"signature_version": "s3v4"} if service == "s3" else {}
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=session["AccessKeyId"],
            aws_secret_access_key=session["SecretAccessKey"],
            aws_session_token=session.get("SessionToken"),
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, **signature),
        )

    @contextmanager
    def racing(self) -> Iterator[None]:
        """For a while, LocalStack's threads take turns every 10 µs, so that a race shows in few requests."""
        before = self._set_switch_interval(b"1e-5")
        try:
            yield
        finally:
            self._set_switch_interval(before)

    def _set_switch_interval(self, seconds: bytes) -> bytes:
        # The path is that of switching.py, which only LocalStack's venv can import.
        request = Request(f"{self.endpoint}/_tests/switch-interval", seconds, method="PUT")
        with urlopen(request, timeout=60) as answer:
            before: bytes = answer.read()
        return before

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def decisions(self, after: int = 0) -> Sequence[Decision]:
        """The decisions of enforcement, oldest first, without the first ``after`` ones."""
        # The journal grows all the time, and tests ask in a loop: each line is read once.
        for line in self._journal:
            fields = json.loads(line)
            self._decisions.append(
                Decision(fields["who"], fields["allowed"], fields["action"], fields["resource"])
            )
        return self._decisions[after:]

    def _environment(self, folder: Path) -> Mapping[str, str]:
        (folder / "tmp").mkdir()
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "TMPDIR": str(folder / "tmp"),
            "FILESYSTEM_ROOT": str(folder / "filesystem"),
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "GATEWAY_LISTEN": self.endpoint.removeprefix("http://"),
            "DISABLE_EVENTS": "1",  # no reports to its makers
            "SKIP_SSL_CERT_DOWNLOAD": "1",
            "DNS_ADDRESS": "0",
            "S3_SKIP_SIGNATURE_VALIDATION": "0",
            "SQS_DISABLE_CLOUDWATCH_METRICS": "1",  # one request for each request to a queue
            "LAMBDA_EVENT_SOURCE_MAPPING_POLL_INTERVAL_SEC": "0.1",
            "LAMBDA_EVENT_SOURCE_MAPPING_MAX_BACKOFF_ON_EMPTY_POLL_SEC": "0.1",
            "LAMBDA_EVENT_SOURCE_MAPPING_MAX_BACKOFF_ON_ERROR_SEC": "0.1",
        }


class _Lines:
    """The whole lines that were appended to a file since they were last iterated."""

    def __init__(self, file: Path) -> None:
        self._file, self._offset = file, 0

    def __iter__(self) -> Iterator[bytes]:
        with self._file.open("rb") as file:
            file.seek(self._offset)
            appended = file.read()
        end = appended.rfind(b"\n") + 1
        self._offset += end
        yield from appended[:end].splitlines()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
