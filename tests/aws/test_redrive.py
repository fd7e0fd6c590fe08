"""`dead-letters redrive --all` against SQS as LocalStack emulates it: it can move all messages itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.aws_emulation.server import REGION, EmulatedAws

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(aws: EmulatedAws, tmp_path: Path) -> Run:
    """Runs the command line with a profile of a config file, and gives the ended process."""
    config = tmp_path / "config"
    config.write_text(
        f"[profile operator]\naws_access_key_id = test\naws_secret_access_key = test\nregion = {REGION}\n"
    )
    environment = {
        "PATH": os.environ["PATH"],
        "AWS_CONFIG_FILE": str(config),
        "AWS_PROFILE": "operator",
        "AWS_ENDPOINT_URL": aws.endpoint,
    }

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "image_processor", "dead-letters", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    return call


def create_queue(sqs: Any, dead_letter_queue: str | None = None) -> str:
    attributes = {}
    if dead_letter_queue:
        found = sqs.get_queue_attributes(QueueUrl=dead_letter_queue, AttributeNames=["QueueArn"])
        policy = {"deadLetterTargetArn": found["Attributes"]["QueueArn"], "maxReceiveCount": 3}
        attributes["RedrivePolicy"] = json.dumps(policy)
    url: str = sqs.create_queue(QueueName=f"test-{uuid.uuid4().hex}", Attributes=attributes)["QueueUrl"]
    return url


def bodies(sqs: Any, url: str) -> list[str]:
    found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
    return sorted(message["Body"] for message in found.get("Messages", ()))


def test_all_messages_are_moved(aws: EmulatedAws, run: Run) -> None:
    sqs = aws.client("sqs")
    dead = create_queue(sqs)
    live = create_queue(sqs, dead)
    for number in range(5):
        sqs.send_message(QueueUrl=dead, MessageBody=f"[{number}]")
    listed = run("list", "--from", dead, "--json")
    assert (listed.returncode, listed.stdout.count("malformed")) == (0, 5), listed.stderr
    ended = run("redrive", "--all", "--from", dead, "--to", live)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "5 redriven, 0 not, 0 left alone\n"
    assert bodies(sqs, live) == [f"[{number}]" for number in range(5)]
    assert bodies(sqs, dead) == []


def test_one_message_is_moved(aws: EmulatedAws, run: Run) -> None:
    sqs = aws.client("sqs")
    dead, live = create_queue(sqs), create_queue(sqs)
    ids = [sqs.send_message(QueueUrl=dead, MessageBody=body)["MessageId"] for body in ("[1]", "[2]")]
    ended = run("redrive", ids[0], "--from", dead, "--to", live)
    assert (ended.returncode, ended.stdout) == (0, "1 redriven, 0 not, 1 left alone\n"), ended.stderr
    assert bodies(sqs, live) == ["[1]"]
    assert bodies(sqs, dead) == ["[2]"]


def test_a_queue_that_is_no_dead_letter_queue_is_an_error(aws: EmulatedAws, run: Run) -> None:
    sqs = aws.client("sqs")
    dead, live = create_queue(sqs), create_queue(sqs)
    ended = run("redrive", "--all", "--from", dead, "--to", live)
    assert (ended.returncode, ended.stdout) == (3, "")
    assert "SQS refused start_message_move_task: " in ended.stderr
    assert "Dead Letter Queue" in ended.stderr
