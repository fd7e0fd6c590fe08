"""What waits to be processed, of clients that take turns: one with thousands of uploads delays no other."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Generic, TypeVar

_Item = TypeVar("_Item")

_client: ContextVar[str] = ContextVar("client", default="")


@contextmanager
def acting_for(client: str) -> Iterator[None]:
    """What is queued in this context is of ``client``: the token or the address of a request. Anything else,
    such as what a search finds, is of the server itself."""
    token = _client.set(client)
    try:
        yield
    finally:
        _client.reset(token)


class FairQueue(Generic[_Item]):
    """Items by their keys. Of those that are ready, the next one is of the client that was served least
    recently, and of its items the first that came. The caller locks."""

    def __init__(self) -> None:
        self._clients: dict[str, str] = {}
        """By key."""
        self._items: OrderedDict[str, dict[str, _Item]] = OrderedDict()
        """By client, the one that was served least recently first."""

    def __len__(self) -> int:
        return len(self._clients)

    def add(self, key: str, item: _Item) -> None:
        """Add an item of the client of this context, in place of one with its key."""
        self.pop(key)
        client = _client.get()
        self._clients[key] = client
        self._items.setdefault(client, {})[key] = item

    def get(self, key: str) -> _Item | None:
        return self._items[self._clients[key]][key] if key in self._clients else None

    def pop(self, key: str) -> _Item | None:
        client = self._clients.pop(key, None)
        if client is None:
            return None
        items = self._items[client]
        item = items.pop(key)
        if not items:
            del self._items[client]
        return item

    def items(self) -> Iterator[tuple[str, _Item]]:
        for items in self._items.values():
            yield from items.items()

    def take(self, is_ready: Callable[[str, _Item], bool]) -> _Item | None:
        """Remove and return the next item that is ready; None if none is."""
        for client, items in self._items.items():
            key = next((key for key, item in items.items() if is_ready(key, item)), None)
            if key is not None:
                self._items.move_to_end(client)
                return self.pop(key)
        return None
