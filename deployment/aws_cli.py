"""Deployment: calls the AWS CLI, the scripts' only way to AWS, and reads its JSON."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

_ERROR = re.compile(
    r"An error occurred \((\w+)\) when calling the \w+ operation(?: \(.*?\))?: (.*)", re.DOTALL
)


class AwsError(Exception):
    """A call failed. ``code`` is AWS's; it is empty if the CLI failed before it reached AWS."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}" if code else message)
        self.code, self.message = code, message


@dataclass(frozen=True, slots=True)
class Aws:
    """The AWS CLI in one region."""

    region: str

    def __call__(self, service: str, operation: str, *arguments: str) -> Json:
        """The output of an operation; all pages of it, as the CLI fetches them. Raises AwsError."""
        command = ["aws", service, operation, *arguments, "--region", self.region, "--output", "json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise _error(done.stderr)
        answer: Json = json.loads(done.stdout) if done.stdout.strip() else {}
        return answer


def _error(text: str) -> AwsError:
    found = _ERROR.search(text)
    return AwsError(found[1], found[2].strip()) if found else AwsError("", text.strip() or "no message")


def find_region() -> str:
    """AWS_REGION, AWS_DEFAULT_REGION, or the region of `aws configure`; empty if there is none."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        if region := os.environ.get(name):
            return region
    command = ["aws", "configure", "get", "region"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
