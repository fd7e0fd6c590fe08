"""AWS room: the messages of one SQS queue, as people look at them and move them.

Functions never come here: Lambda hands messages out itself.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from itertools import islice
from typing import Any

from msgspec import Struct, field

from image_processor.domain.errors import NotFound, Unavailable

from .client import Client, HttpResponse
from .credentials import GetCredentials, credentials_from
from .endpoints import endpoint_override, region_from, regional_endpoint
from .json_protocol import error_code, json_request, parse_response
from .signature import Scope

_MOST = 10
"""Messages of one call."""
_WAIT_SECONDS = 1
"""With a wait SQS asks all its machines, without one only some ("short and long polling")."""
_STALE_ROUNDS = 3

# Answers with status 400 that time heals.
_THROTTLES = frozenset({"RequestThrottled", "ThrottlingException", "Throttling", "KmsThrottled", "OverLimit"})
# The second name is the one of the older protocol, which some emulations give.
_NO_QUEUE = frozenset({"QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue"})
_REGION = re.compile(r"https://sqs\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/")


class Letter(Struct, frozen=True):
    """A message in hand. ``receipt`` is good for this time of receiving it. ``attributes`` are SQS's
    own, ``extras`` those that the sender gave, both as SQS writes them."""

    id: str
    receipt: str
    body: str
    attributes: dict[str, str] = field(default_factory=dict)
    extras: dict[str, Any] = field(default_factory=dict)

    @property
    def receives(self) -> int:
        """How often it was handed out, this time included; SQS counts roughly."""
        return _number(self.attributes.get("ApproximateReceiveCount"))

    @property
    def sent_ms(self) -> int:
        """When it was first sent, in milliseconds since 1970; 0 where SQS does not say."""
        return _number(self.attributes.get("SentTimestamp"))


class Queue:
    """The queue at a URL. Region and credentials come from the URL and the environment, the address from
    AWS_ENDPOINT_URL_SQS where that is set. Raises InvalidSettings.

    Every method raises NotFound where there is no such queue, Unavailable where SQS cannot answer
    or does not let us.
    """

    def __init__(self, url: str, *, credentials: GetCredentials | None = None) -> None:
        named = _REGION.match(url)
        region = named[1] if named else region_from()
        address = regional_endpoint("sqs", region, endpoint_override("sqs"))
        self._url = url
        self._client = Client(address, Scope(region, "sqs"), credentials or credentials_from(os.environ))

    def close(self) -> None:
        """Close the kept connections."""
        self._client.close()

    def receive(self, hidden_seconds: int) -> list[Letter]:
        """Up to ten messages, which nobody else gets for so long. One that is sent twice because its
        answer was lost hides some that nobody has seen."""
        found = self._call(
            "ReceiveMessage",
            MaxNumberOfMessages=_MOST,
            VisibilityTimeout=hidden_seconds,
            WaitTimeSeconds=_WAIT_SECONDS,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        return [_letter(message) for message in found.get("Messages") or ()]

    def collect(self, hidden_seconds: int) -> list[Letter]:
        """Every message that is there and that nobody else has in hand, each once, oldest first. Memory
        grows by each; with more of them than can be received in ``hidden_seconds`` some may be missing."""
        letters: dict[str, Letter] = {}
        stale = 0
        while stale < _STALE_ROUNDS and (received := self.receive(hidden_seconds)):
            stale = stale + 1 if all(letter.id in letters for letter in received) else 0
            letters.update({letter.id: letter for letter in received})
        return sorted(letters.values(), key=lambda letter: (letter.sent_ms, letter.id))

    def send(self, letter: Letter) -> None:
        """Put a copy of the message into this queue."""
        extras = {"MessageAttributes": letter.extras} if letter.extras else {}
        self._call("SendMessage", MessageBody=letter.body, **extras)

    def delete(self, letter: Letter) -> None:
        """Remove the message; no error if it is gone."""
        self._call("DeleteMessage", ReceiptHandle=letter.receipt)

    def give_back(self, letters: Iterable[Letter]) -> None:
        """Let others have the messages at once."""
        rest = iter(letters)
        while some := list(islice(rest, _MOST)):
            entries = [
                {"Id": str(number), "ReceiptHandle": letter.receipt, "VisibilityTimeout": 0}
                for number, letter in enumerate(some)
            ]
            self._call("ChangeMessageVisibilityBatch", Entries=entries)

    def _call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        request = json_request(f"AmazonSQS.{operation}", {"QueueUrl": self._url, **arguments})
        answer = self._client.send(request, is_throttled=_is_throttled)
        found = parse_response(answer)
        if answer.status == 200:
            return found
        name = error_code(found)
        if name in _NO_QUEUE:
            raise NotFound(f"there is no queue {self._url}, or these credentials may not know of it")
        raise Unavailable(f"SQS cannot answer {operation}: {name or answer.status}")


def move(letter: Letter, origin: Queue, destination: Queue) -> None:
    """Send first, then delete: whatever happens in between, the message is in one queue at least."""
    destination.send(letter)
    origin.delete(letter)


def _is_throttled(answer: HttpResponse) -> bool:
    return answer.status == 400 and error_code(parse_response(answer)) in _THROTTLES


def _letter(message: dict[str, Any]) -> Letter:
    return Letter(
        message["MessageId"],
        message["ReceiptHandle"],
        message.get("Body", ""),
        message.get("Attributes") or {},
        message.get("MessageAttributes") or {},
    )


def _number(text: str | None) -> int:
    return int(text) if text and re.fullmatch("[0-9]{1,13}", text) else 0
