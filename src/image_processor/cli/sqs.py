"""The messages of one SQS queue, for `dead-letters`: inspected, moved one by one, or moved all at once."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from image_processor.domain.errors import NotFound, Unavailable

if TYPE_CHECKING:
    import boto3

_BATCH = 10
"""The most messages that one call receives or releases."""
_WAIT_SECONDS = 1
"""With a wait SQS asks all of its servers, without one only some ("short and long polling")."""
_STALE_ROUNDS = 3
"""After so many batches without a new message all messages have been received."""
_POLL_SECONDS = 1.0
_ACTIVE = frozenset({"CREATED", "RUNNING", "CANCELLING"})

# The queue's own region, where its URL names one.
_REGION = re.compile(r"https://sqs\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/")


class QueueMessage(Struct, frozen=True):
    """A received message.

    ``receipt`` is valid for this receive only. ``attributes`` are those of SQS, ``message_attributes`` those
    of the sender, both as SQS returns them.
    """

    id: str
    receipt: str
    body: str
    attributes: dict[str, str] = field(default_factory=dict)
    message_attributes: dict[str, Any] = field(default_factory=dict)

    @property
    def receives(self) -> int:
        """How often the message was received, this time included; approximate."""
        return _number(self.attributes.get("ApproximateReceiveCount"))

    @property
    def sent_ms(self) -> int:
        """When the message was first sent, in milliseconds since 1970; 0 if SQS does not say."""
        return _number(self.attributes.get("SentTimestamp"))


class MoveResult(Struct, frozen=True):
    """How a move of all messages ended. ``failure`` is None if all were moved."""

    moved: int
    remaining: int
    failure: str | None = None


class Queue:
    """The queue at ``url``.

    Every method raises NotFound if there is no such queue, Unavailable if SQS does not answer or denies
    access.
    """

    def __init__(self, session: boto3.Session, url: str) -> None:
        region = _REGION.match(url)
        self._url = url
        self._client = session.client("sqs", region_name=region[1] if region else None)

    def receive_all(self, hidden_seconds: int) -> list[QueueMessage]:
        """Every message that is visible, each once, oldest first; others cannot receive them for
        ``hidden_seconds``.

        Memory grows with each message. If there are more than can be received in ``hidden_seconds``, some
        may be missing.
        """
        messages: dict[str, QueueMessage] = {}
        stale = 0
        while stale < _STALE_ROUNDS and (batch := self._receive(hidden_seconds)):
            stale = stale + 1 if all(message.id in messages for message in batch) else 0
            messages |= {message.id: message for message in batch}
        return sorted(messages.values(), key=lambda message: (message.sent_ms, message.id))

    def send(self, message: QueueMessage) -> None:
        """Add a copy of ``message`` to this queue."""
        attributes = {"MessageAttributes": message.message_attributes} if message.message_attributes else {}
        self._call("send_message", QueueUrl=self._url, MessageBody=message.body, **attributes)

    def delete(self, message: QueueMessage) -> None:
        """Remove ``message``; no error if it is gone."""
        self._call("delete_message", QueueUrl=self._url, ReceiptHandle=message.receipt)

    def release(self, messages: Iterable[QueueMessage]) -> None:
        """Make ``messages`` visible to other receivers at once."""
        remaining = iter(messages)
        while batch := list(islice(remaining, _BATCH)):
            entries = [
                {"Id": str(number), "ReceiptHandle": message.receipt, "VisibilityTimeout": 0}
                for number, message in enumerate(batch)
            ]
            self._call("change_message_visibility_batch", QueueUrl=self._url, Entries=entries)

    def move_all(self, destination: Queue, pause: Callable[[float], None] = time.sleep) -> MoveResult:
        """Have SQS move every message to ``destination``, and wait for the end of it.

        This queue must be the dead-letter queue of some queue. An interruption cancels the move.
        """
        source = self.arn()
        task = self._call("start_message_move_task", SourceArn=source, DestinationArn=destination.arn())
        try:
            while (state := self._latest_move(source))["Status"] in _ACTIVE:
                pause(_POLL_SECONDS)
        except KeyboardInterrupt:
            self._call("cancel_message_move_task", TaskHandle=task["TaskHandle"])
            raise
        moved = state.get("ApproximateNumberOfMessagesMoved", 0)
        total = state.get("ApproximateNumberOfMessagesToMove", moved)
        failure = None if state["Status"] == "COMPLETED" else state.get("FailureReason", state["Status"])
        return MoveResult(moved, max(total - moved, 0), failure)

    def arn(self) -> str:
        found = self._call("get_queue_attributes", QueueUrl=self._url, AttributeNames=["QueueArn"])
        return str(found["Attributes"]["QueueArn"])

    def _receive(self, hidden_seconds: int) -> list[QueueMessage]:
        found = self._call(
            "receive_message",
            QueueUrl=self._url,
            MaxNumberOfMessages=_BATCH,
            VisibilityTimeout=hidden_seconds,
            WaitTimeSeconds=_WAIT_SECONDS,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        return [
            QueueMessage(
                message["MessageId"],
                message["ReceiptHandle"],
                message.get("Body", ""),
                message.get("Attributes", {}),
                message.get("MessageAttributes", {}),
            )
            for message in found.get("Messages", ())
        ]

    def _latest_move(self, source: str) -> dict[str, Any]:
        found = self._call("list_message_move_tasks", SourceArn=source, MaxResults=1)
        latest: dict[str, Any] = found["Results"][0]
        return latest

    def _call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        with self._errors_translated(operation):
            answer: dict[str, Any] = getattr(self._client, operation)(**arguments)
            return answer

    @contextmanager
    def _errors_translated(self, operation: str) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - optional dependency

        try:
            yield
        except self._client.exceptions.QueueDoesNotExist:
            raise NotFound(f"there is no queue {self._url}, or these credentials may not see it") from None
        except ClientError as error:
            details = error.response["Error"]
            message = f"SQS refused {operation}: {details.get('Code')}: {details.get('Message')}"
            raise Unavailable(message) from error
        except BotoCoreError as error:
            raise Unavailable(f"SQS did not answer {operation}: {error}") from error


def _number(text: str | None) -> int:
    return int(text) if text and re.fullmatch("[0-9]{1,13}", text) else 0
