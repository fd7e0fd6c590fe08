"""`events list` and `events redrive`: what the receiver of webhooks has not accepted."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from image_processor.bootstrap.commands import Commands
from image_processor.catalog.sqlite import SqliteCatalog
from image_processor.cli.commands import app
from image_processor.domain.models import MessageKind, OutboxMessage, Upload

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def library(tmp_path):
    """A library with a dead event and one that waits."""
    catalog = SqliteCatalog(tmp_path / "catalog.sqlite")
    for number in (1, 2):
        key = f"{number}.jpg"
        lease = catalog.acquire(Upload("uploads", key), owner="a", now=NOW, duration=timedelta(minutes=5))
        body = json.dumps({"id": f"e{number}", "type": "image.processed"})
        message = OutboxMessage(f"e{number}", MessageKind.EVENT, key, NOW, body)
        catalog.complete(lease, lease.record, [message])
        if number == 1:
            catalog.event_queue().postpone(message, None, "status 500")
    catalog.close()
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(app, ["events", *map(str, arguments)], obj=Commands())


def test_waiting_and_dead_events_are_listed(library):
    listed = run("list", "--data", library)
    assert listed.exit_code == 0
    first, second = listed.stdout.splitlines()[1:]
    assert first.split() == ["e1", "1.jpg", "image.processed", "1", "dead", "status", "500"]
    assert second.split() == ["e2", "2.jpg", "image.processed", "0", "2026-01-01", "00:00:00"]
    lines = [json.loads(line) for line in run("list", "--data", library, "--json").stdout.splitlines()]
    assert [(line["event"]["id"], line["due_at"]) for line in lines] == [
        ("e1", None),
        ("e2", "2026-01-01T00:00:00+00:00"),
    ]


@pytest.mark.parametrize("which", ["e1", "--all"])
def test_a_redrive_makes_dead_events_due(library, which):
    assert run("redrive", which, "--data", library).stdout == "1 events are sent again.\n"
    catalog = SqliteCatalog(library / "catalog.sqlite")
    assert catalog.event_queue().count() == (2, 0)
    catalog.close()


@pytest.mark.parametrize("arguments", [[], ["e2"], ["e1", "--all"]])
def test_a_redrive_of_anything_else_is_an_error(library, arguments):
    result = run("redrive", *arguments, "--data", library)
    assert result.exit_code != 0
    assert "the id of a dead event" in str(result.exception)


def test_a_missing_library_is_not_created(tmp_path):
    result = run("list", "--data", tmp_path / "none")
    assert "the data directory of a library" in str(result.exception)
    assert not (tmp_path / "none").exists()
