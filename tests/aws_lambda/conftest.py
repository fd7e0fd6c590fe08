"""Fixtures of the functions' tests."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from support.ingest import IngestFixture


@pytest.fixture
def ingest() -> IngestFixture:
    return IngestFixture()


@pytest.fixture(autouse=True)
def event_loop() -> Iterator[None]:
    """Mangum uses the main thread's event loop, which Lambda never closes but a test does."""
    with asyncio.Runner() as runner:
        asyncio.set_event_loop(runner.get_loop())
        yield
        asyncio.set_event_loop(None)
