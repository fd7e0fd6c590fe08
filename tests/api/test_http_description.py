"""Health, recipe, web page and the OpenAPI description."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest
from fastapi.routing import iter_route_contexts
from http_machine import Client, Machine

from image_processor import __version__
from image_processor.api.error_status import STATUSES
from image_processor.api.problems import of_error
from image_processor.api.request_models import EXPECTED
from image_processor.api.standalone_app import WEB
from image_processor.domain.errors import (
    FIXES,
    CatalogDamaged,
    ImageProcessorError,
    MissingExtra,
    Reason,
    SizeNotAllowed,
    Unavailable,
)
from image_processor.domain.keys import image_id
from image_processor.domain.models import MessageKind
from image_processor.ingest.outbox import Outbox
from image_processor.standalone.disk_space import DiskState, DiskStatus
from image_processor.standalone.progress import EventType
from image_processor.standalone.reconcile_loop import ReconcileReport
from support.ingest import BUCKET, RECIPE, IngestFixture, upload

STUDIO = Path(__file__).parents[2] / "studio" / "src"


def test_health(machine: Machine, client: Client) -> None:
    machine.gate.clear()
    client.put("/uploads/a", content=b"a")
    assert client.get("/health").json() == {
        "status": "ok",
        "detail": None,
        "version": __version__,
        "backlog": 1,
        "workers": machine.settings.worker_count,
        "uploads": str(machine.settings.data / "uploads"),
        "max_bytes": 1_000_000,
        "events": None,
        "unreadable": 0,
        "held_deletions": 0,
        "coordination": None,
        "recipe_error": None,
        "remote_sources": [],
        "free_bytes": 10**9,
    }


def test_health_without_the_data(machine: Machine, client: Client) -> None:
    shutil.rmtree(machine.settings.data)
    response = client.get("/health")
    assert (response.status_code, response.json()["status"]) == (503, "degraded")
    reason = "cannot be opened: No such file or directory; mount its disk, or restore it"
    assert response.json()["detail"] == f"the folder 'uploads' {reason}"


def test_health_and_requests_with_a_damaged_catalog(
    machine: Machine, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(_: str) -> None:
        raise CatalogDamaged.of("data/catalog.sqlite", "malformed")

    machine.data_trouble = "the catalog data/catalog.sqlite is damaged"
    response = client.get("/health")
    assert (response.status_code, response.json()["detail"]) == (503, machine.data_trouble)
    monkeypatch.setattr(machine.ingest.catalog, "get", damaged)
    response = client.get(f"/images/{image_id(BUCKET, 'a')}")
    assert (response.status_code, response.json()["code"]) == (503, "catalog-damaged")


@pytest.mark.parametrize(
    ("status", "code", "shown"), [(DiskStatus.LOW, 200, "low-disk"), (DiskStatus.FULL, 503, "degraded")]
)
def test_health_of_a_disk_without_room(
    machine: Machine, client: Client, status: DiskStatus, code: int, shown: str
) -> None:
    machine.disk = DiskState(status, 12, "12 bytes free")
    response = client.get("/health")
    assert response.status_code == code
    assert {name: response.json()[name] for name in ("status", "detail", "free_bytes")} == {
        "status": shown,
        "detail": "12 bytes free",
        "free_bytes": 12,
    }


def test_health_without_the_catalog(
    machine: Machine, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_: str) -> None:
        raise Unavailable("the catalog cannot be read")

    monkeypatch.setattr(machine.ingest.catalog, "get", gone)
    response = client.get("/health")
    assert (response.status_code, response.json()["detail"]) == (503, "the catalog cannot be read")


def test_health_while_most_originals_are_gone(machine: Machine, client: Client) -> None:
    machine.reconcile_report = ReconcileReport(unreadable=3, held=101, reason="101 of 101 originals are gone")
    response = client.get("/health")
    body = response.json()
    assert (response.status_code, body["status"]) == (503, "degraded")
    assert (body["detail"], body["unreadable"], body["held_deletions"]) == (
        "101 of 101 originals are gone",
        3,
        101,
    )


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/health",
        "/images",
        "/images/{id}",
        "/images/{id}/similar",
        "/images/{id}/markup",
        "/recipe",
        "/recipe/source",
        "/activity",
        "/settings",
        "/openapi.json",
    ],
)
def test_every_get_route_has_a_head(machine: Machine, live: httpx.Client, path: str) -> None:
    id_ = live.put("/uploads/a", content=b"a").json()["id"]
    machine.workers.wait_until_idle()
    whole, head = (live.request(method, path.format(id=id_)) for method in ("GET", "HEAD"))
    assert (whole.status_code, head.status_code, head.content) == (200, 200, b"")
    for name in ("content-type", "content-length"):
        assert head.headers[name] == whole.headers[name]


def test_recipe(client: Client) -> None:
    assert client.get("/recipe").json() == {
        "presets": {"small": ["w=10,fm=webp", "w=10,fm=jpeg", "w=20,fm=webp", "w=20,fm=jpeg"]},
        "rules": [{"match": "ignored/**", "presets": []}, {"match": "**", "presets": ["small"]}],
        "private": [],
        "lazy": [],
    }


@pytest.fixture
def schema(client: Client) -> Any:
    response = client.get("/openapi.json")
    assert response.status_code == 200
    return response.json()


def operations(schema: Any) -> Iterator[tuple[str, Any]]:
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


@pytest.mark.usefixtures("client")
def test_whatever_can_be_got_has_a_head(machine: Machine) -> None:
    """RFC 9110, 9.1. A stream of events has no end, so that its HEAD would be of no use."""
    got: dict[str, set[str]] = {}
    for route in iter_route_contexts(machine.application.routes):
        got.setdefault(str(route.path), set()).update(route.methods or {"GET", "HEAD"})
    assert len(got) > 20
    assert [path for path, methods in got.items() if "GET" in methods and "HEAD" not in methods] == [
        "/events"
    ]


def test_every_route_is_described(schema: Any) -> None:
    assert {name for name, _ in operations(schema)} == {
        "POST /uploads",
        "POST /images",
        "GET /images",
        "GET /images.ndjson",
        "GET /folders",
        "GET /images/{id}",
        "PUT /images/{id}/focus",
        "DELETE /images/{id}/focus",
        "GET /images/{id}/original",
        "POST /archives",
        "GET /images/{id}/similar",
        "GET /images/{id}/markup",
        "GET /images/{id}/urls",
        "DELETE /images/{id}",
        "POST /images/{id}/renditions",
        "POST /images/{id}/reprocess",
        "PUT /uploads/{key}",
        "OPTIONS /resumable",
        "POST /resumable",
        "HEAD /resumable/{upload_id}",
        "PATCH /resumable/{upload_id}",
        "DELETE /resumable/{upload_id}",
        "POST /samples",
        "POST /uploads/from-url",
        "GET /renditions/{key}",
        "GET /events",
        "GET /health",
        "GET /recipe",
        "GET /recipe/source",
        "POST /recipe",
        "POST /recipe/check",
        "POST /recipe/plan",
        "GET /activity",
        "GET /settings",
        "GET /parameters",
        "POST /images/{id}/preview",
        "GET /session",
        "POST /session",
        "DELETE /session",
    }
    for name, operation in operations(schema):
        assert operation["description"], name
        named = {parameter["name"] for parameter in operation.get("parameters", ())}
        assert set(re.findall(r"{(\w+)}", name)) <= named, name
        assert all("description" in parameter for parameter in operation.get("parameters", ())), name


def test_operations_have_unique_names(schema: Any) -> None:
    names = [operation["operationId"] for _, operation in operations(schema)]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z_]+", name) for name in names)


def test_only_errors_are_described_as_problem_documents(schema: Any) -> None:
    for name, operation in operations(schema):
        for status, response in operation["responses"].items():
            types = set(response.get("content", {}))
            # That of health says how it is.
            is_problem = int(status) >= 400 and (name, status) != ("GET /health", "503")
            assert ("application/problem+json" in types) == is_problem, (name, status)
    assert "HTTPValidationError" not in schema["components"]["schemas"]


def test_every_reference_resolves(schema: Any) -> None:
    expected = set(re.findall(r"'#/components/schemas/(\w+)'", str(schema)))
    assert expected
    assert expected <= set(schema["components"]["schemas"])


def test_every_parameter_describes_what_is_expected(schema: Any) -> None:
    described = str(schema)
    elsewhere = {"content_type"}  # on AWS alone
    assert all(expected in described for name, expected in EXPECTED.items() if name not in elsewhere)


def subclasses(kind: type[ImageProcessorError]) -> Iterator[type[ImageProcessorError]]:
    for item in kind.__subclasses__():
        yield item
        yield from subclasses(item)


def test_the_table_of_statuses_lists_subclasses_first() -> None:
    kinds = [kind for kind, _ in STATUSES]
    for at, kind in enumerate(kinds):
        assert not [later for later in kinds[at + 1 :] if issubclass(later, kind)]
    assert kinds[-1] is ImageProcessorError


def test_retryable_errors_have_a_status_that_clients_retry() -> None:
    for kind in subclasses(ImageProcessorError):
        status = next(status for row, status in STATUSES if issubclass(kind, row))
        if kind.retryable:
            assert status in {409, 429, 502, 503, 507}, kind
            assert of_error(kind("later")).headers["retry-after"] == "1"


def test_forbidden_errors_have_a_fix() -> None:
    response = of_error(SizeNotAllowed("expected one of 10 for width, got 11"))
    assert response.status_code == 403
    assert json.loads(response.body)["fix"] == SizeNotAllowed.fix


def test_a_missing_extra_is_501() -> None:
    response = of_error(MissingExtra.of("a package", "some purpose", "extra"))
    assert response.status_code == 501
    assert b"pip install 'image-processor[extra]'" in response.body


def test_every_reason_has_a_fix_and_a_label_on_the_page() -> None:
    labels = (STUDIO / "labels.ts").read_text(encoding="utf-8")
    assert set(FIXES) == set(Reason)
    for reason in Reason:
        assert f'"{reason}":' in labels or f"{reason}:" in labels


def test_the_page_follows_every_type_of_event() -> None:
    listened = (STUDIO / "api" / "events.ts").read_text(encoding="utf-8")
    for type_ in EventType:
        assert f'"{type_}",' in listened


def test_the_page_and_its_files_are_served(client: Client) -> None:
    page = client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    named = set(re.findall(r'(?:src|href)="\./(static/[^"]+)"', page.text))
    assert named
    for path in named | {f"static/{file.name}" for file in (WEB / "static").iterdir()}:
        assert client.get(f"/{path}").status_code == 200, path


def test_the_page_is_revalidated_with_304(client: Client) -> None:
    first = client.get("/static/studio.js")
    assert first.headers["cache-control"] == "no-cache"
    again = client.get("/static/studio.js", headers={"if-none-match": first.headers["etag"]})
    assert again.status_code == 304


def test_outcome_events_are_described_as_webhooks(client: Client) -> None:
    """The description's schema accepts the events that ingest makes, and no null."""
    ingest = IngestFixture(recipe=RECIPE, outbox=Outbox(frozenset({MessageKind.EVENT}), {}, "/renditions"))
    for key, body in {"cat.jpg": b"cat", "bad.jpg": b"bad"}.items():
        ingest.put(key, body)
        ingest.processor().process(upload(key))
    ingest.uploads.delete("cat.jpg")
    ingest.processor().process(upload("cat.jpg"))
    events = [json.loads(item.body) for entry in ingest.catalog.scan_entries() for item in entry.unsent]
    assert sorted(event["type"] for event in events) == ["image.deleted", "image.processed", "image.refused"]
    description = client.get("/openapi.json").json()
    assert sorted(description["webhooks"]) == sorted(event["type"] for event in events)
    body = description["webhooks"]["image.processed"]["post"]["requestBody"]
    schema = {**body["content"]["application/json"]["schema"], "components": description["components"]}
    docs = Path(__file__).parents[2] / "docs"
    published = json.loads((docs / "outcome-event.schema.json").read_text(encoding="utf-8"))
    text = (docs / "events.md").read_text(encoding="utf-8")
    example = json.loads(text.split("```json")[1].split("```")[0])
    for validator in map(jsonschema_rs.Draft202012Validator, (schema, published)):
        validator.validate(example)
        for event in events:
            validator.validate(event)
            assert not validator.is_valid({**event, "data": {**event["data"], "version": None}})
            assert not validator.is_valid({**event, "type": "image.unknown"})
