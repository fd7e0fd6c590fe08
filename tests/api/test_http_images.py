"""Routes of images: process, show, list, filter, delete and reprocess."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from concurrent.futures import Future
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from http_machine import Client, Machine

from image_processor.api.dependencies import MAX_WAIT_SECONDS, preferred_wait
from image_processor.api.work import QueuedWork
from image_processor.domain.errors import FIXES, LeaseBusy, Reason, Unavailable
from image_processor.domain.keys import image_id
from image_processor.domain.models import OutcomeStatus, UploadKind
from image_processor.domain.transformation import parse
from support.ingest import OTHER_RECIPE, upload

ID = image_id("uploads", "photos/cat.jpg")


def process(client: Client, key: str, **kwargs: Any) -> Any:
    return client.post("/images", json={"key": key, **kwargs})


def test_processing_returns_the_renditions(machine: Machine, client: Client) -> None:
    machine.ingest.put("photos/cat.jpg", b"a cat")
    response = process(client, "photos/cat.jpg")
    assert response.status_code == 200
    image = response.json()
    assert (image["id"], image["bucket"], image["original"]) == (ID, "uploads", "photos/cat.jpg")
    assert (image["status"], image["reason"], image["fix"]) == ("processed", None, None)
    assert image["processed"] in {rendition["key"] for rendition in image["renditions"]}
    assert image["facts"]["media_type"] == "image/jpeg"
    assert image["facts"]["bytes"] == len(b"a cat")
    assert (image["dominant_colour"], image["thumbhash"]) == ("#102030", "aGFzaA==")
    assert image["created_at"] == "2026-01-01T00:00:00Z"
    expected = machine.ingest.expected()
    assert {rendition["key"] for rendition in image["renditions"]} == set(expected)
    for rendition in image["renditions"]:
        assert rendition["format"] == parse(rendition["transformation"]).format
        assert rendition["url"].endswith(f"?v={rendition['sha256'][:16]}")
        assert client.get(rendition["url"]).content == expected[rendition["key"]]


@pytest.mark.parametrize(("body", "truncated"), [(b"half a cat", True), (b"a cat", False)])
def test_a_truncated_original_is_marked(
    machine: Machine, client: Client, body: bytes, *, truncated: bool
) -> None:
    machine.ingest.put("photos/cat.jpg", body)
    assert process(client, "photos/cat.jpg").json()["truncated"] is truncated
    assert client.get(f"/images/{ID}").json()["truncated"] is truncated
    record = machine.ingest.record("photos/cat.jpg")
    assert record is not None
    assert record.original is not None
    assert record.original.truncated is truncated


def test_processing_twice_renders_once(machine: Machine, client: Client) -> None:
    machine.ingest.put("a.jpg", b"a")
    first, second = process(client, "a.jpg"), process(client, "a.jpg", bucket="uploads")
    assert (second.status_code, second.json()) == (200, first.json())


def test_a_refused_original_returns_its_reason_fix_and_record(machine: Machine, client: Client) -> None:
    machine.ingest.put("notes.txt", b"bad text")
    for _ in range(2):  # once refused, and once on record as refused
        response = process(client, "notes.txt")
        assert response.status_code == 422
        assert response.headers["content-type"] == "application/problem+json"
        problem = response.json()
        assert (problem["code"], problem["reason"]) == ("refused", "not-an-image")
        assert problem["fix"] == FIXES[Reason.NOT_AN_IMAGE]
        assert problem["detail"].startswith("expected an image")
        assert problem["image"]["status"] == "refused"
        assert problem["image"]["id"] == image_id("uploads", "notes.txt")


def test_a_key_without_a_matching_rule_is_skipped(machine: Machine, client: Client) -> None:
    machine.ingest.put("ignored/a.jpg", b"a")
    expect_skipped(process(client, "ignored/a.jpg"), "no rule of the recipe matches it")


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("a/", "a folder marker, not a file"),
        ("a/.DS_Store", "a metadata file of an operating system"),
        ("ignored/a.jpg", "no rule of the recipe matches it"),
    ],
)
def test_a_skipped_key_is_rejected_before_anything_is_stored(
    machine: Machine, client: Client, key: str, why: str
) -> None:
    expect_skipped(client.put(f"/uploads/{key}", content=b"a"), why)
    expect_skipped(process(client, key), why)
    assert machine.ingest.uploads.bodies() == {}


def expect_skipped(response: Any, why: str) -> None:
    assert (response.status_code, response.json()["code"]) == (422, "skipped")
    assert response.json()["detail"].endswith(f": {why}")


def test_an_image_without_a_rule_in_a_later_recipe_cannot_be_reprocessed(
    machine: Machine, client: Client
) -> None:
    key = "ignored/a.jpg"
    machine.ingest.put(key, b"a")
    dataclasses.replace(machine.ingest, recipe=OTHER_RECIPE).processor().process(upload(key))
    url = f"/images/{image_id('uploads', key)}/reprocess"
    expect_skipped(client.post(url, headers={"prefer": "wait=20"}), "no rule of the recipe matches it")


def test_a_link_out_of_the_root_is_recorded_as_refused(
    machine: Machine, client: Client, tmp_path: Path
) -> None:
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (tmp_path / "uploads").mkdir(exist_ok=True)
    (tmp_path / "uploads" / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    response = process(client, "link.jpg")
    assert (response.status_code, response.json()["reason"]) == (422, "outside-root")
    assert machine.ingest.record("link.jpg") is not None


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        ({"key": "no.jpg"}, 404, "no.jpg"),
        ({"key": "../no.jpg"}, 400, "expected a key inside the bucket's root for key, got '../no.jpg'"),
        ({"key": ""}, 400, "expected 1-1024 bytes of UTF-8 for key, got '0 bytes'"),
        ({"key": 5}, 400, "expected a key: 1-1024 bytes of UTF-8 text for key, got 5"),
        ({}, 400, "expected a key: 1-1024 bytes of UTF-8 text for key, got nothing"),
        ({"key": "a", "bucket": "mine"}, 400, "expected uploads for bucket, got mine"),
        ({"key": "a", "bucket": 5}, 400, "expected the upload bucket's name, or nothing for bucket, got 5"),
        ({"key": "a", "quality": 5}, 400, "expected a name that exists here for quality, got an unknown one"),
        ([], 400, "expected a JSON object for the body, got []"),
    ],
)
def test_an_invalid_request_says_what_was_expected(
    client: Client, body: Any, status: int, detail: str
) -> None:
    response = client.post("/images", json=body)
    assert response.status_code == status
    assert detail in response.json()["detail"]
    assert response.headers["cache-control"] == "no-store"


def test_every_error_is_reported_at_once(client: Client) -> None:
    for body, names in (
        ({"bucket": 1, "size": 1}, {"bucket", "key", "size"}),
        ({"bucket": "mine", "key": "../up"}, {"bucket", "key"}),
    ):
        problems = client.post("/images", json=body).json()["problems"]
        assert {problem["name"] for problem in problems} == names


def test_only_json_is_accepted_as_json(client: Client) -> None:
    for headers in ({}, {"content-type": "text/plain"}, {"content-type": "multipart/form-data"}):
        response = client.post("/images", content=b'{"key": "a.jpg"}', headers=headers)
        assert (response.status_code, response.json()["code"]) == (415, "unsupported-media-type")
    broken = client.post("/images", content=b"{", headers={"content-type": "application/json; charset=utf-8"})
    assert (broken.status_code, broken.json()["detail"]) == (
        400,
        "expected JSON for the body, got something else",
    )


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (rb'"\ud800"', r"expected a JSON object for the body, got \ud800"),
        (rb'{"\ud800": 1}', r"expected Unicode text for the body, got \ud800"),
        (rb'{"key": "a", "\ud800": 1}', r"expected Unicode text for the body, got \ud800"),
        (rb'{"key": "a", "bucket": "\udfff"}', r"expected uploads for bucket, got \udfff"),
        (rb'{"key": "\ud800"}', r"for key, got '\ud800'"),
        (rb'{"key": ["\ud800"]}', r"for key, got ['\ud800']"),
    ],
)
def test_half_a_surrogate_pair_is_reported_escaped(client: Client, body: bytes, detail: str) -> None:
    response = client.post("/images", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 400
    assert detail in response.json()["detail"]


def test_slow_processing_returns_202_with_what_is_known(
    machine: Machine, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QueuedWork.outcome, "__defaults__", (0.0,))
    monkeypatch.setattr("image_processor.api.images.MAX_WAIT_SECONDS", 0.0)
    machine.ingest.put("a.jpg", b"a")
    machine.gate.clear()
    response = process(client, "a.jpg")
    assert (response.status_code, response.json()["status"]) == (202, "queued")
    assert client.get(f"/images/{response.json()['id']}").json() == response.json()
    machine.gate.set()
    machine.workers.wait_until_idle()
    assert client.get(f"/images/{response.json()['id']}").json()["status"] == "processed"


@pytest.mark.parametrize(
    ("error", "status"), [(LeaseBusy("somebody has it"), 409), (Unavailable("the disk is full"), 503)]
)
def test_retryable_errors_have_retry_after(
    machine: Machine, client: Client, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    monkeypatch.setattr(machine.ingest.uploads, "head", fail_with(error))
    response = process(client, "a.jpg")
    assert (response.status_code, response.headers["retry-after"]) == (status, "1")
    assert response.json()["detail"] == str(error)


def fail_with(error: Exception) -> Any:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


def test_an_unexpected_error_reveals_no_internals(
    machine: Machine, client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(machine.ingest.catalog, "list", fail_with(RuntimeError("/etc/secret")))
    response = client.get("/images")
    assert (response.status_code, response.json()["code"]) == (500, "internal-server-error")
    assert "secret" not in response.text
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "/etc/secret" in caplog.text


def fill(machine: Machine, client: Client, *keys: str) -> None:
    """Process the keys one after the other, each a second after the previous one."""
    for key in keys:
        machine.ingest.put(key, b"bad" if key.endswith(".txt") else key.encode())
        process(client, key)
        machine.ingest.now += timedelta(seconds=1)


def originals(response: Any) -> list[str]:
    assert response.status_code == 200, response.text
    return [image["original"] for image in response.json()["images"]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ["b/2.txt", "b/1.jpg", "a.jpg"]),
        ({"prefix": "b/"}, ["b/2.txt", "b/1.jpg"]),
        ({"search": "1.J"}, ["b/1.jpg"]),
        ({"status": "refused"}, ["b/2.txt"]),
        ({"status": "processed", "prefix": "a"}, ["a.jpg"]),
        ({"since": "2026-01-01T00:00:01Z"}, ["b/2.txt", "b/1.jpg"]),
        ({"until": "2026-01-01T02:00:01+02:00"}, ["a.jpg"]),
        ({"limit": "1"}, ["b/2.txt"]),
        ({"sort": "name"}, ["a.jpg", "b/1.jpg", "b/2.txt"]),
        ({"sort": "size"}, ["b/1.jpg", "a.jpg", "b/2.txt"]),
        ({"sort": "saving", "limit": "2"}, ["b/1.jpg", "a.jpg"]),
        ({"format": "jpeg", "sort": "name"}, ["a.jpg", "b/1.jpg"]),
        ({"format": "png"}, []),
        ({"min_bytes": "6"}, ["b/1.jpg"]),
        ({"max_bytes": "6"}, ["a.jpg"]),
    ],
)
def test_a_listing_is_filtered(
    machine: Machine, client: Client, query: dict[str, str], expected: list[str]
) -> None:
    fill(machine, client, "a.jpg", "b/1.jpg", "b/2.txt")
    assert originals(client.get("/images", params=query)) == expected


def test_images_are_listed_by_their_ids_in_their_order(machine: Machine, client: Client) -> None:
    fill(machine, client, "a.jpg", "b.txt", "c.jpg")
    machine.gate.clear()
    queued = client.put("/uploads/d.jpg", content=b"d").json()["id"]
    ids = [queued, *(image_id("uploads", key) for key in ("c.jpg", "none.jpg", "a.jpg"))]
    listing = client.get("/images", params={"ids": ",".join(ids)}).json()
    machine.gate.set()
    assert [(image["original"], image["status"]) for image in listing["images"]] == [
        ("d.jpg", "queued"),
        ("c.jpg", "processed"),
        ("a.jpg", "processed"),
    ]
    assert listing["cursor"] is None
    assert listing["images"][1] == client.get(f"/images/{ids[1]}").json()


def test_a_listing_has_only_the_fields_that_it_is_asked_for(machine: Machine, client: Client) -> None:
    fill(machine, client, "a.jpg", "b.txt")
    query = {"fields": "facts,reason", "limit": "1"}
    first = client.get("/images", params=query).json()
    second = client.get("/images", params={**query, "cursor": first["cursor"]}).json()
    always = {"id", "bucket", "original", "status"}
    assert [set(image) for image in first["images"] + second["images"]] == [always | {"facts", "reason"}] * 2
    assert (first["images"][0]["reason"], second["images"][0]["facts"]["bytes"]) == ("not-an-image", 5)


def test_a_listing_has_a_total_if_asked_for(machine: Machine, client: Client) -> None:
    fill(machine, client, "1.jpg", "2.txt", "3.txt")
    query = {"search": ".TXT", "limit": "1"}
    assert client.get("/images", params=query).json()["total"] is None
    for fields in ({}, {"fields": "facts"}):
        listing = client.get("/images", params={**query, **fields, "total": "true"}).json()
        assert (len(listing["images"]), listing["total"]) == (1, 2)


def test_pages_follow_one_another_to_the_end(machine: Machine, client: Client) -> None:
    fill(machine, client, "1", "2", "3")
    first = client.get("/images", params={"limit": 2}).json()
    second = client.get("/images", params={"limit": 2, "cursor": first["cursor"]})
    assert originals(second) == ["1"]
    assert second.json()["cursor"] is None


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ({"limit": "5000"}, "expected 1-1000 for limit, got 5000"),
        ({"limit": "0"}, "expected 1-1000 for limit, got 0"),
        ({"limit": "many"}, "expected 1-1000 for limit, got many"),
        ({"status": "queued"}, "expected processing | processed | refused for status, got queued"),
        ({"status": "done"}, "expected processing | processed | refused for status, got done"),
        ({"since": "2026-01-01T00:00:00"}, "expected a time with its zone"),
        ({"since": "0001-01-01T00:00:00+14:00"}, "in the years 1-9999 of UTC for since"),
        ({"until": "9999-12-31T23:59:59-14:00"}, "in the years 1-9999 of UTC for until"),
        ({"until": "x" * 500}, "got " + "x" * 100 + "…"),
        ({"colour": "red"}, "expected a name that exists here for colour, got an unknown one"),
        ({"sort": "age"}, "expected newest | name | size | saving for sort, got age"),
        ({"format": "psd"}, "expected jpeg | png | webp | "),
        ({"min_bytes": "-1"}, "expected a number of bytes, 0 or more for min_bytes, got -1"),
        ({"cursor": "forged"}, "for cursor, got"),
        ({"ids": ""}, "expected 1-100 ids, comma-separated, and no other filter for ids, got '0 ids'"),
        ({"ids": ",".join(map(str, range(101)))}, "for ids, got '101 ids'"),
        ({"ids": ID, "status": "refused", "limit": "2"}, "for ids, got 'ids and limit, status'"),
        ({"fields": "facts,size"}, "focal_point, exif for fields, got 'size'"),
    ],
)
def test_an_invalid_filter_says_what_was_expected(client: Client, query: dict[str, str], detail: str) -> None:
    response = client.get("/images", params=query)
    assert (response.status_code, response.json()["code"]) == (400, "invalid")
    assert detail in response.json()["detail"]


def test_pages_follow_one_another_in_another_order(machine: Machine, client: Client) -> None:
    fill(machine, client, "c", "a", "b")
    first = client.get("/images", params={"sort": "name", "limit": 2}).json()
    second = client.get("/images", params={"sort": "name", "limit": 2, "cursor": first["cursor"]})
    assert originals(second) == ["c"]
    other = client.get("/images", params={"sort": "size", "cursor": first["cursor"]})
    assert "for cursor" in other.json()["detail"]


def test_an_image_says_what_its_renditions_save(machine: Machine, client: Client) -> None:
    fill(machine, client, "a.jpg", "b.txt")
    refused, image = client.get("/images").json()["images"]
    largest = max(rendition["width"] for rendition in image["renditions"])
    least = min(item["bytes"] for item in image["renditions"] if item["width"] == largest)
    assert image["saving"] == 1 - least / len("a.jpg")
    assert refused["saving"] is None


def test_folders_are_listed(machine: Machine, client: Client) -> None:
    fill(machine, client, "a.jpg", "b/1.jpg", "b/c/2.jpg", "d/3.jpg")
    assert client.get("/folders").json() == {
        "folders": [
            {"name": "b", "prefix": "b/", "images": 2},
            {"name": "d", "prefix": "d/", "images": 1},
        ],
        "complete": True,
    }
    below = client.get("/folders", params={"prefix": "b/"}).json()["folders"]
    assert below == [{"name": "c", "prefix": "b/c/", "images": 1}]
    assert client.get("/folders", params={"limit": "1"}).json()["complete"] is False
    assert client.get("/folders", params={"limit": "0"}).status_code == 400


def test_one_image(machine: Machine, client: Client) -> None:
    fill(machine, client, "photos/cat.jpg")
    assert client.get(f"/images/{ID}").json()["original"] == "photos/cat.jpg"


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("DELETE", ""), ("POST", "/reprocess")])
def test_an_unknown_image(client: Client, method: str, path: str) -> None:
    response = client.request(method, f"/images/{ID}{path}")
    assert (response.status_code, response.json()["code"]) == (404, "not-found")


def test_delete_removes_original_renditions_and_record(machine: Machine, client: Client) -> None:
    fill(machine, client, "photos/cat.jpg", "photos/cat.jpg.jpg")
    assert client.delete(f"/images/{ID}").status_code == 204
    assert set(machine.ingest.uploads.bodies()) == {"photos/cat.jpg.jpg"}
    assert machine.ingest.processed.bodies() == machine.ingest.expected()
    assert client.get(f"/images/{ID}").status_code == 404


def test_a_slow_delete_returns_202(machine: Machine, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(machine, client, "photos/cat.jpg")
    monkeypatch.setattr(QueuedWork.outcome, "__defaults__", (0.0,))
    machine.gate.clear()
    assert client.delete(f"/images/{ID}").status_code == 202


def test_reprocess_answers_at_once_unless_preferred_to_wait(machine: Machine, client: Client) -> None:
    fill(machine, client, "photos/cat.jpg")
    machine.gate.clear()
    later = client.post(f"/images/{ID}/reprocess")
    assert (later.status_code, later.json()["status"]) == (202, "processed")
    machine.gate.set()
    machine.workers.wait_until_idle()
    record = machine.ingest.record("photos/cat.jpg")
    assert record is not None
    assert record.revision == 2


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        ("", None),
        ("wait=20", 20),
        ("Wait = 20", 20),
        ('wait="20"', 20),
        ("wait=0", 0),
        ("wait=600", MAX_WAIT_SECONDS),
        ("respond-async", 0),
        ("respond-async, wait=20", 20),
        ("wait=20, respond-async", 20),
        ("return=minimal; wait=5, WAIT=20;x=y", 20),
        ("wait=20, wait=30", 20),
        ("nowait=20", None),
        ("wait=soon", None),
        ("wait=-1", None),
        ("wait=" + "9" * 5000, None),
        ("wait", None),
        (";=,;,", None),
    ],
)
def test_parsing_the_prefer_header(prefer: str, seconds: float | None) -> None:
    assert preferred_wait(prefer) == seconds


@pytest.mark.parametrize(("prefer", "status"), [("wait=20", 200), ("respond-async", 202), ("wait=0", 202)])
def test_the_prefer_header_decides_whether_to_wait(
    machine: Machine, client: Client, prefer: str, status: int
) -> None:
    fill(machine, client, "photos/cat.jpg")
    for url, body in (("/images", {"key": "photos/cat.jpg"}), (f"/images/{ID}/reprocess", None)):
        if status == 202:
            machine.gate.clear()
        assert client.post(url, json=body, headers={"prefer": prefer}).status_code == status
        machine.gate.set()
        machine.workers.wait_until_idle()
    record = machine.ingest.record("photos/cat.jpg")
    assert record is not None
    assert record.revision == 2


def test_an_original_deleted_meanwhile_is_not_found(machine: Machine, client: Client) -> None:
    fill(machine, client, "photos/cat.jpg")
    machine.ingest.uploads.delete("photos/cat.jpg")
    assert client.post(f"/images/{ID}/reprocess", headers={"prefer": "wait=20"}).status_code == 404


def test_the_key_of_submitted_uploads_is_known_until_all_are_done(machine: Machine) -> None:
    app = machine.app()
    machine.ingest.put("photos/cat.jpg", b"a cat")
    machine.gate.clear()
    held: QueuedWork = app.state.work
    futures = [held.submit(kind, "photos/cat.jpg") for kind in (UploadKind.CREATED, UploadKind.REPROCESS)]
    assert held.pending_key(ID) == "photos/cat.jpg"
    machine.gate.set()
    assert {future.result(10).status for future in futures} == {OutcomeStatus.PROCESSED}
    machine.workers.wait_until_idle()
    assert held.pending_key(ID) is None


def test_an_error_of_the_wait_itself_is_not_a_late_rendition(machine: Machine) -> None:
    machine.app()
    work: QueuedWork = machine.application.state.work
    done: Future[str] = Future()
    done.set_result("a rendition")
    assert asyncio.run(work.done(done)) == "a rendition"
    with pytest.raises(RuntimeError, match="different event loop"):
        asyncio.run(work.done(Future()))
    assert asyncio.run(work.done(done)) == "a rendition"


def test_concurrent_requests_all_get_the_outcome(machine: Machine, live: Any) -> None:
    machine.ingest.put("a.jpg", b"a")
    machine.gate.clear()
    responses: list[Any] = []
    threads = [threading.Thread(target=lambda: responses.append(process(live, "a.jpg"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    machine.gate.set()
    for thread in threads:
        thread.join(30)
    assert [response.status_code for response in responses] == [200] * 4
    assert len({response.json()["version"] for response in responses}) == 1
