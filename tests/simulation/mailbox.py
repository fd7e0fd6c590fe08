"""The queue between events and workers, as SQS: at least once, in any order, hidden while in work."""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush
from random import Random

VISIBILITY = 720.0
RECEIVES = 3
"""Both as deployment/template.yaml has them; a test compares."""


@dataclass
class Letter:
    id: str
    body: str
    receives: int = 0


class Mailbox:
    """Letters by id. One that was received ``RECEIVES`` times and never settled goes to ``dead``."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._letters: dict[str, Letter] = {}
        self._visible: list[str] = []
        self._hidden: list[tuple[float, str]] = []
        self.sent = self.settled = self.most_receives = 0
        self.dead: list[Letter] = []

    def send(self, body: str) -> None:
        self.sent += 1
        id_ = f"m{self.sent}"
        self._letters[id_] = Letter(id_, body)
        self._visible.append(id_)

    def receive(self, now: float, limit: int) -> list[Letter]:
        """Up to ``limit`` visible letters in no order, hidden from others from now on."""
        while self._hidden and self._hidden[0][0] <= now:
            self._visible.append(heappop(self._hidden)[1])
        taken: list[Letter] = []
        while self._visible and len(taken) < limit:
            at = self._random.randrange(len(self._visible))
            self._visible[at], self._visible[-1] = self._visible[-1], self._visible[at]
            letter = self._letters.get(self._visible.pop())
            if letter is None:
                continue  # settled while it was visible again
            if letter.receives == RECEIVES:
                self.dead.append(self._letters.pop(letter.id))
                continue
            letter.receives += 1
            heappush(self._hidden, (now + VISIBILITY, letter.id))
            self.most_receives = max(self.most_receives, letter.receives)
            taken.append(letter)
        return taken

    def resolve(self, id_: str) -> None:
        """Take a letter out for good; one that is gone by now is no error."""
        if self._letters.pop(id_, None) is not None:
            self.settled += 1

    def next_visible(self, now: float) -> float | None:
        """When the next letter can be received, None if there is none."""
        if not self._letters:
            return None
        return now if self._visible else self._hidden[0][0]

    def __len__(self) -> int:
        return len(self._letters)
