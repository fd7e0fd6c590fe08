"""The API conforms to its OpenAPI description for requests that schemathesis generates."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from http_machine import Machine, Uploads
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from image_processor.config.settings import Settings
from image_processor.domain.keys import image_id
from image_processor.domain.models import Limits
from support.ingest import BUCKET, IngestFixture
from support.url_strategies import PAIRS

STRESS = bool(os.environ.get("STRESS"))
EXAMPLES = 150 if STRESS else 40
# The schema cannot express every rule, such as the length of keys in bytes.
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
OPERATIONS = [
    ("post", "/images"),
    ("get", "/images"),
    ("get", "/images/{id}"),
    ("delete", "/images/{id}"),
    ("get", "/images/{id}/similar"),
    ("post", "/images/{id}/reprocess"),
    ("get", "/images/{id}/markup"),
    ("post", "/images/{id}/renditions"),
    ("put", "/uploads/{key}"),
    ("post", "/samples"),
    ("get", "/renditions/{key}"),
    ("get", "/recipe"),
    ("get", "/parameters"),
    ("post", "/images/{id}/preview"),
    ("get", "/health"),
    ("get", "/session"),
    ("post", "/session"),
    ("delete", "/session"),
    ("post", "/uploads"),
    ("post", "/uploads/from-url"),
    ("options", "/resumable"),
    ("post", "/resumable"),
    ("head", "/resumable/{upload_id}"),
    ("patch", "/resumable/{upload_id}"),
    ("delete", "/resumable/{upload_id}"),
    ("get", "/folders"),
    ("get", "/images.ndjson"),
    ("get", "/images/{id}/original"),
    ("get", "/images/{id}/urls"),
    ("put", "/images/{id}/focus"),
    ("delete", "/images/{id}/focus"),
    ("post", "/archives"),
    ("get", "/recipe/source"),
    ("post", "/recipe/check"),
    ("post", "/recipe/plan"),
    ("post", "/recipe"),
    ("get", "/settings"),
    ("get", "/activity"),
]
QUIET = settings(derandomize=not STRESS, suppress_health_check=list(HealthCheck), database=None)
WRONG = st.sampled_from([{}, {}, {"w": "0"}, {"x": "1"}, {"fm": "heic"}, {"s": "A"}, {"kid": "a", "s": "A"}])
schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")
NEVER_ENDS = ("get", "/events")
KEYS = ("cat.jpg", "bad.jpg", "none.jpg", "cat.jpg/w=10,fm=webp.webp", "cat.jpg/~w=11,fm=avif.avif", "a//b")
HEADERS = st.fixed_dictionaries(
    {"host": st.just("127.0.0.1")},
    optional={
        "range": st.sampled_from(["bytes=0-3", "bytes=900-", "bytes=-2", "lines=1-2"]),
        "if-none-match": st.sampled_from(["*", '"x"', 'W/"x"']),
        "if-match": st.sampled_from(["*", '"x"']),
        "accept": st.sampled_from(["image/avif", "image/webp", "*/*"]),
    },
)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    folder: Path = tmp_path_factory.mktemp("contract")
    limits = Limits(max_bytes=1_000_000)
    options = Settings(
        data=folder,
        port=0,
        limits=limits,
        signing_keys=(("a", "0123456789abcdef"),),
        allow_unsigned=True,
        overlays="logos/",
    )
    machine = Machine(
        IngestFixture(uploads=Uploads(folder / "uploads"), limits=limits), replace(options, hints=True)
    )
    machine.ingest.put("cat.jpg", b"cat")
    machine.ingest.put("bad.jpg", b"bad")
    machine.workers.start()
    yield machine
    machine.close()


@pytest.fixture(scope="module")
def schema(machine: Machine) -> Any:
    return schemathesis.openapi.from_asgi("/openapi.json", machine.app(), headers={"host": "127.0.0.1"})


def test_every_operation_is_requested(schema: Any) -> None:
    described = [(item.ok().method, item.ok().path) for item in schema.get_all_operations()]
    assert sorted(described) == sorted([*OPERATIONS, NEVER_ENDS])


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_responses_conform_to_the_description(schema: Any, machine: Machine, method: str, path: str) -> None:
    seen = set()

    many = 5 if path.startswith("/renditions") else 1

    @settings(
        max_examples=many * EXAMPLES,
        derandomize=not STRESS,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(schema[path][method].as_strategy(), HEADERS, PAIRS, st.data())
    def ask(case: Any, headers: dict[str, str], pairs: Any, data: Any) -> None:
        if "key" in case.path_parameters and data.draw(st.booleans()):
            case.path_parameters["key"] = data.draw(st.sampled_from(KEYS))
        if "id" in case.path_parameters and data.draw(st.booleans()):
            case.path_parameters["id"] = image_id(BUCKET, data.draw(st.sampled_from(KEYS[:3])))
        if path.startswith("/resumable") and data.draw(st.booleans()):
            headers = {**headers, "tus-resumable": "1.0.0"}
        if "upload_id" in case.path_parameters and data.draw(st.booleans()):
            begun = machine.resumable_uploads.create("tus.jpg", 5, "", {})
            case.path_parameters["upload_id"] = begun.id
        if path.startswith("/renditions"):
            case.query = {**dict(pairs), **data.draw(WRONG)}
        response = case.call(headers=headers)
        seen.add(response.status_code)
        case.validate_response(response, checks=CHECKS)

    ask()
    if path == "/renditions/{key}":
        assert {200, 206, 400, 404} <= seen
