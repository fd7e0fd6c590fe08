"""A queue like SQS: at-least-once delivery in any order, with a visibility timeout and dead letters."""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush
from random import Random

VISIBILITY = 720.0
RECEIVES = 5
"""Both as in deployment/template.yaml; a test compares them."""


@dataclass
class QueuedMessage:
    id: str
    body: str
    receives: int = 0


class MessageQueue:
    """Messages by id. One that was received ``RECEIVES`` times and never deleted moves to ``dead``."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._messages: dict[str, QueuedMessage] = {}
        self._visible: list[str] = []
        self._hidden: list[tuple[float, str]] = []
        self.sent = self.deleted = self.most_receives = 0
        self.dead: list[QueuedMessage] = []

    def send(self, body: str) -> None:
        self.sent += 1
        id_ = f"m{self.sent}"
        self._messages[id_] = QueuedMessage(id_, body)
        self._visible.append(id_)

    def receive(self, now: float, limit: int) -> list[QueuedMessage]:
        """Up to ``limit`` visible messages in random order; they become invisible."""
        while self._hidden and self._hidden[0][0] <= now:
            self._visible.append(heappop(self._hidden)[1])
        received: list[QueuedMessage] = []
        while self._visible and len(received) < limit:
            at = self._random.randrange(len(self._visible))
            self._visible[at], self._visible[-1] = self._visible[-1], self._visible[at]
            message = self._messages.get(self._visible.pop())
            if message is None:
                continue  # deleted while it was visible again
            if message.receives == RECEIVES:
                self.dead.append(self._messages.pop(message.id))
                continue
            message.receives += 1
            heappush(self._hidden, (now + VISIBILITY, message.id))
            self.most_receives = max(self.most_receives, message.receives)
            received.append(message)
        return received

    def delete(self, id_: str) -> None:
        """Delete a message. No error if it is already deleted."""
        if self._messages.pop(id_, None) is not None:
            self.deleted += 1

    def next_visible(self, now: float) -> float | None:
        """When the next message can be received; None if there is none."""
        if not self._messages:
            return None
        return now if self._visible else self._hidden[0][0]

    def __len__(self) -> int:
        return len(self._messages)
