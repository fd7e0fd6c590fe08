"""Resumable uploads: the tus protocol 1.0.0, request by request."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import threading
import time
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest
from http_machine import Client, Machine

from image_processor.api import uploads
from image_processor.config.recipe import parse_recipe
from image_processor.domain.errors import InsufficientStorage, Unavailable
from image_processor.domain.keys import image_id
from image_processor.standalone import resumable_uploads
from support.waiting import wait_for

TUS = {"tus-resumable": "1.0.0"}
BODY = {**TUS, "content-type": "application/offset+octet-stream"}


def metadata(**fields: str) -> str:
    return ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in fields.items())


def create(client: Any, length: int, key: str = "a.jpg", **more: Any) -> httpx.Response:
    headers = {**TUS, "upload-length": str(length), "upload-metadata": metadata(key=key)}
    return client.post("/resumable", headers=headers | more.pop("headers", {}), **more)


def begin(client: Any, length: int, key: str = "a.jpg", **headers: str) -> str:
    response = create(client, length, key, headers=headers)
    assert response.status_code == 201, response.text
    return str(httpx.URL("http://127.0.0.1/resumable").join(response.headers["location"]).path)


def append(client: Any, where: str, offset: int, content: bytes, **headers: str) -> httpx.Response:
    return client.patch(where, headers={**BODY, "upload-offset": str(offset), **headers}, content=content)


def offset_of(client: Any, where: str) -> int:
    return int(client.head(where, headers=TUS).headers["upload-offset"])


def test_an_upload_in_parts_becomes_an_original_as_by_put(machine: Machine, client: Client) -> None:
    where = begin(client, 6, "photos/cat.jpg")
    first = append(client, where, 0, b"a c")
    assert (first.status_code, first.headers["upload-offset"]) == (204, "3")
    assert machine.ingest.uploads.bodies() == {}
    last = append(client, where, 3, b"at!")
    version = machine.ingest.uploads.head("photos/cat.jpg").entry.version
    assert last.status_code == 204
    assert last.headers["upload-offset"] == "6"
    assert last.headers["content-location"] == f"/images/{image_id('uploads', 'photos/cat.jpg')}"
    assert last.headers["etag"] == f'"{version}"'
    machine.workers.wait_until_idle()
    assert machine.ingest.uploads.bodies() == {"photos/cat.jpg": b"a cat!"}
    assert machine.ingest.processed.bodies() == machine.ingest.expected()


def test_options_tells_what_the_server_can_do(client: Client) -> None:
    response = client.options("/resumable")
    assert response.status_code == 204
    told = {name: response.headers[name] for name in response.headers if name.startswith("tus-")}
    assert told == {
        "tus-resumable": "1.0.0",
        "tus-version": "1.0.0",
        "tus-extension": "creation,creation-with-upload,termination,expiration,checksum",
        "tus-max-size": "1000000",
        "tus-checksum-algorithm": "sha1,sha256",
    }


def test_the_creation_may_have_the_first_bytes(machine: Machine, client: Client) -> None:
    begun = create(client, 5, headers=BODY, content=b"a c")
    assert (begun.status_code, begun.headers["upload-offset"]) == (201, "3")
    whole = create(client, 3, "b.jpg", headers=BODY, content=b"dog")
    assert (whole.status_code, whole.headers["upload-offset"]) == (201, "3")
    assert machine.ingest.uploads.bodies() == {"b.jpg": b"dog"}


def test_head_tells_the_offset_the_length_the_metadata_and_the_end(client: Client) -> None:
    where = begin(client, 5)
    append(client, where, 0, b"ab")
    response = client.head(where, headers=TUS)
    assert response.status_code == 200
    assert response.headers["upload-offset"] == "2"
    assert response.headers["upload-length"] == "5"
    assert response.headers["upload-metadata"] == metadata(key="a.jpg")
    assert response.headers["cache-control"] == "no-store"
    assert 3500 < parsedate_to_datetime(response.headers["upload-expires"]).timestamp() - time.time() < 3601


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"filename": "cat.jpg"}, "cat.jpg"),
        ({"filename": "C:\\photos\\cat.jpg", "filetype": "image/jpeg"}, "cat.jpg"),
        ({"key": "photos/${filename}", "filename": "cat.jpg"}, "photos/cat.jpg"),
        ({"key": "ß/猫.jpg"}, "ß/猫.jpg"),
    ],
)
def test_the_metadata_names_the_original(
    machine: Machine, client: Client, fields: dict[str, str], key: str
) -> None:
    headers = {**BODY, "upload-length": "1", "upload-metadata": metadata(**fields)}
    assert client.post("/resumable", headers=headers, content=b"a").status_code == 201
    assert machine.ingest.uploads.bodies() == {key: b"a"}


@pytest.mark.parametrize(
    ("headers", "status", "says"),
    [
        ({"tus-resumable": "0.2.2"}, 412, "expected 1.0.0 for Tus-Resumable, got '0.2.2'"),
        ({"upload-length": "many"}, 400, "expected a number of bytes for Upload-Length, got 'many'"),
        ({"upload-length": "-1"}, 400, "expected a number of bytes for Upload-Length, got '-1'"),
        ({"upload-concat": "partial"}, 400, "expected no such header, as a file is one upload"),
        ({"upload-length": "0"}, 422, "the upload has no bytes"),
        ({"upload-length": "1000001"}, 413, "expected at most 1000000 bytes, got 1000001"),
        ({"upload-metadata": "key &"}, 400, "UTF-8 in base64"),
        ({"upload-metadata": "key YQ==,key Yg=="}, 400, "expected each name once for Upload-Metadata"),
        ({"upload-metadata": "key /w=="}, 400, "UTF-8 in base64"),
        ({"upload-metadata": ""}, 400, "expected 1-1024 bytes of UTF-8 for key, got '0 bytes'"),
        ({"upload-metadata": metadata(key="../a.jpg")}, 400, "expected a key inside the bucket's root"),
        ({"upload-checksum": "crc32 AAAA"}, 400, "expected one of sha1, sha256 for Upload-Checksum"),
        ({"upload-checksum": "sha1 AAAA"}, 400, "expected sha1 and 20 bytes in base64"),
    ],
)
def test_a_wrong_creation_is_refused_and_leaves_nothing(
    machine: Machine, client: Client, headers: dict[str, str], status: int, says: str
) -> None:
    response = create(client, 5, headers=headers)
    assert response.status_code == status
    assert says in response.json()["detail"]
    assert response.headers["tus-resumable"] == "1.0.0"
    assert machine.resumable_uploads.usage() == resumable_uploads.Usage()


def test_requests_without_the_version_are_told_which_one(client: Client) -> None:
    where = begin(client, 5)
    for method in ("HEAD", "PATCH", "DELETE"):
        response = client.request(method, where)
        assert (response.status_code, response.headers["tus-version"]) == (412, "1.0.0")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "image/jpeg"}, 415),
        ({"upload-offset": "x"}, 400),
        ({"upload-offset": "1"}, 409),
        ({"upload-offset": "3"}, 409),
    ],
)
def test_a_wrong_continuation_changes_nothing(client: Client, headers: dict[str, str], status: int) -> None:
    where = begin(client, 5)
    append(client, where, 0, b"ab")
    assert append(client, where, 2, b"cde", **headers).status_code == status
    assert offset_of(client, where) == 2


def test_more_bytes_than_the_length_are_refused(machine: Machine, live: httpx.Client) -> None:
    where = begin(live, 5)
    told = append(live, where, 0, b"abcdef")
    assert told.json()["detail"] == "expected at most the missing 5 bytes for Content-Length, got '6'"
    unknown = live.patch(where, headers={**BODY, "upload-offset": "0"}, content=iter([b"abc", b"def"]))
    assert unknown.status_code == 400
    assert machine.ingest.uploads.bodies() == {}


def test_an_unknown_upload_does_not_exist(client: Client) -> None:
    for name in ("0" * 32, "nothing", "..%2F..%2Fcatalog", "0" * 32 + ".json"):
        assert client.head(f"/resumable/{name}", headers=TUS).status_code == 404
        assert client.delete(f"/resumable/{name}", headers=TUS).status_code == 404
        assert append(client, f"/resumable/{name}", 0, b"a").status_code == 404


def test_a_deleted_upload_is_gone_with_its_bytes(machine: Machine, client: Client) -> None:
    where = begin(client, 5)
    append(client, where, 0, b"ab")
    assert client.delete(where, headers=TUS).status_code == 204
    assert client.head(where, headers=TUS).status_code == 404
    assert list((machine.settings.data / "resumable").iterdir()) == []


def test_an_upload_that_nobody_continues_expires(machine: Machine, client: Client) -> None:
    kept, forgotten = begin(client, 5, "kept.jpg"), begin(client, 5)
    folder = machine.settings.data / "resumable"
    for file in folder.glob(f"{forgotten[-32:]}.*"):
        os.utime(file, (0, time.time() - 3601))
    assert client.head(forgotten, headers=TUS).status_code == 404
    assert append(client, forgotten, 0, b"abcde").status_code == 404
    machine.resumable_uploads.delete_expired()
    assert {path.stem for path in folder.iterdir()} == {kept[-32:]}
    assert offset_of(client, kept) == 0


def test_a_new_original_replaces_none(client: Client) -> None:
    client.put("/uploads/a.jpg", content=b"one")
    refused = create(client, 3, headers={"if-none-match": "*"})
    assert refused.status_code == 412
    assert refused.json()["detail"].startswith("expected If-None-Match: * for 'a.jpg', got version")
    assert create(client, 3).status_code == 201


def test_the_condition_holds_when_the_upload_is_complete_too(machine: Machine, client: Client) -> None:
    where = begin(client, 3, **{"if-none-match": "*"})
    append(client, where, 0, b"tw")
    client.put("/uploads/a.jpg", content=b"one")
    last = append(client, where, 2, b"o")
    assert (last.status_code, last.json()["code"]) == (412, "precondition-failed")
    assert machine.ingest.uploads.bodies() == {"a.jpg": b"one"}
    assert client.head(where, headers=TUS).status_code == 404  # or a client would take it for stored


def test_an_original_is_replaced_in_the_version_that_the_client_knows(client: Client) -> None:
    tag = client.put("/uploads/a.jpg", content=b"one").headers["etag"]
    where = begin(client, 3, **{"if-match": tag})
    assert append(client, where, 0, b"two").status_code == 204
    assert create(client, 3, headers={"if-match": tag}).status_code == 412


def test_a_key_without_renditions_is_refused_at_once(machine: Machine, client: Client) -> None:
    machine.ingest.recipe = parse_recipe("[[rules]]\nmatch = '**'\npresets = []")
    machine.live_recipe.replace(machine.ingest.recipe)
    response = create(client, 5, "docs/a.jpg")
    assert (response.status_code, response.json()["code"]) == (422, "skipped")


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_bytes_with_another_checksum_are_not_kept(machine: Machine, client: Client, algorithm: str) -> None:
    def checksum(body: bytes) -> str:
        return f"{algorithm} {base64.b64encode(hashlib.new(algorithm, body).digest()).decode()}"

    where = begin(client, 5)
    assert append(client, where, 0, b"ab", **{"upload-checksum": checksum(b"ab")}).status_code == 204
    wrong = append(client, where, 2, b"cdX", **{"upload-checksum": checksum(b"cde")})
    assert (wrong.status_code, wrong.json()["code"]) == (460, "checksum-mismatch")
    assert offset_of(client, where) == 2
    append(client, where, 2, b"cde", **{"upload-checksum": checksum(b"cde")})
    assert machine.ingest.uploads.bodies() == {"a.jpg": b"abcde"}


def test_a_checksum_that_was_never_compared_vouches_for_nothing(machine: Machine, client: Client) -> None:
    """The server was killed while it received a body with a checksum."""
    where = begin(client, 5)
    append(client, where, 0, b"ab")
    parts = machine.resumable_uploads

    def killed() -> Any:
        yield b"XX"
        raise KeyboardInterrupt

    upload = parts.find(where[-32:])
    with pytest.raises(KeyboardInterrupt):
        parts.append(upload, killed(), resumable_uploads.Checksum("sha1", b"?" * 20))
    assert offset_of(client, where) == 2
    assert append(client, where, 2, b"cde").status_code == 204
    assert machine.ingest.uploads.bodies() == {"a.jpg": b"abcde"}


def test_a_client_that_missed_the_last_response_is_told_that_all_is_there(client: Client) -> None:
    where = begin(client, 5)
    etag = append(client, where, 0, b"abcde").headers["etag"]
    again = client.head(where, headers=TUS)
    assert (again.headers["upload-offset"], again.headers["etag"]) == ("5", etag)
    assert append(client, where, 5, b"").status_code == 204


@pytest.mark.parametrize("is_noted", [False, True], ids=["killed before", "killed after"])
def test_a_server_killed_at_the_end_stores_the_upload_once(
    machine: Machine, client: Client, monkeypatch: pytest.MonkeyPatch, *, is_noted: bool
) -> None:
    """Killed before the store has the original, or after it and before that is noted."""
    where = begin(client, 5, **{"if-none-match": "*"})

    def killed(*_: Any, **__: Any) -> Any:
        raise Unavailable("killed")

    with monkeypatch.context() as patches:
        if is_noted:
            patches.setattr(machine.resumable_uploads, "mark_stored", killed)
        else:
            patches.setattr(machine.ingest.uploads, "put_stream", killed)
        assert append(client, where, 0, b"abcde").status_code == 503
    assert offset_of(client, where) == 5
    assert machine.ingest.uploads.bodies() == {"a.jpg": b"abcde"}
    assert append(client, where, 5, b"").status_code == 204


def test_how_a_store_divides_the_bytes_does_not_matter(
    machine: Machine, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store of S3 yields what the network brings. As above, killed before it was noted."""
    where = begin(client, 5, **{"if-none-match": "*"})
    store = machine.ingest.uploads
    read = store.read

    def read_bytewise(*arguments: Any, **options: Any) -> Any:
        return (bytes([byte]) for chunk in read(*arguments, **options) for byte in chunk)

    def killed(*_: Any, **__: Any) -> Any:
        raise Unavailable("killed")

    monkeypatch.setattr(store, "read", read_bytewise)
    with monkeypatch.context() as patches:
        patches.setattr(machine.resumable_uploads, "mark_stored", killed)
        assert append(client, where, 0, b"abcde").status_code == 503
    assert offset_of(client, where) == 5
    # Another original of the same length is another one.
    where = begin(client, 5, "b.jpg", **{"if-none-match": "*"})
    client.put("/uploads/b.jpg", content=b"other")
    assert append(client, where, 0, b"abcde").status_code == 412


def test_what_is_stored_does_not_slow_down_later_uploads(
    machine: Machine, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Descriptions of stored uploads are kept for a day, and there may be many thousands."""
    for _ in range(3):
        append(client, begin(client, 1), 0, b"a")
    begin(client, 5)
    parts, decoded = machine.resumable_uploads, []
    monkeypatch.setattr(
        resumable_uploads.ResumableUploads,
        "_read",
        lambda self, id_, read=resumable_uploads.ResumableUploads._read: (
            decoded.append(id_) or read(self, id_)
        ),
    )
    assert parts.usage().uploads == 1
    parts.create("b.jpg", 1, "", {})
    assert len(decoded) == 2


def test_what_arrives_of_a_broken_request_is_kept(machine: Machine, live: httpx.Client) -> None:
    where = begin(live, 10)
    with _half_sent(live, where, b"abc"):
        wait_for(lambda: machine.resumable_uploads.usage().bytes == 3, "three bytes")
    wait_for(lambda: offset_of(live, where) == 3, "the end of the request")
    assert append(live, where, 3, b"defghij").status_code == 204
    assert machine.ingest.uploads.bodies() == {"a.jpg": b"abcdefghij"}


def test_a_later_request_takes_over_from_a_connection_that_hangs(
    machine: Machine, live: httpx.Client
) -> None:
    where = begin(live, 10)
    with _half_sent(live, where, b"abc") as hanging:
        wait_for(lambda: machine.resumable_uploads.usage().bytes == 3, "three bytes")
        assert offset_of(live, where) == 3
        assert hanging.recv(12) == b"HTTP/1.1 409"
        assert append(live, where, 3, b"defghij").status_code == 204
    assert machine.ingest.uploads.bodies() == {"a.jpg": b"abcdefghij"}


def test_a_client_that_sends_too_slowly_may_continue(
    live: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MAX_LAG_SECONDS", 0.2)
    where = begin(live, 10)
    with _half_sent(live, where, b"abc") as slow:
        assert slow.recv(12) == b"HTTP/1.1 503"
    assert offset_of(live, where) == 3


def test_concurrent_requests_write_each_byte_once(machine: Machine, live: httpx.Client) -> None:
    where = begin(live, 200_000)
    body = os.urandom(200_000)
    statuses: list[int] = []

    def send() -> None:
        with httpx.Client(base_url=live.base_url, timeout=60) as own:
            while (offset := offset_of(own, where)) < len(body):
                statuses.append(append(own, where, offset, body[offset : offset + 50_000]).status_code)

    threads = [threading.Thread(target=send) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert set(statuses) <= {204, 409}
    assert machine.ingest.uploads.bodies() == {"a.jpg": body}


def test_the_method_may_be_in_a_header(machine: Machine, client: Client) -> None:
    where = begin(client, 2)
    headers = {**BODY, "upload-offset": "0", "x-http-method-override": "PATCH"}
    assert client.post(where, headers=headers, content=b"ab").status_code == 204
    assert machine.ingest.uploads.bodies() == {"a.jpg": b"ab"}


def test_uploads_are_begun_only_while_the_disk_has_room_for_all(
    machine: Machine, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = begin(client, 1000)
    append(client, where, 0, b"x" * 300)
    begin(client, 50, "b.jpg")
    assert machine.checked_room == [1000, 750, 1450]  # the last leaves as much for others

    def is_full(_: int) -> None:
        raise InsufficientStorage("expected room for 5 MB, got 1 MB")

    monkeypatch.setattr(machine.resumable_uploads, "_check_room", is_full)
    assert create(client, 5, "c.jpg").status_code == 507
    assert machine.resumable_uploads.usage().uploads == 2


def test_there_are_only_so_many_unfinished_uploads(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resumable_uploads, "MAX_OPEN", 1)
    where = begin(client, 1)
    assert create(client, 1, "b.jpg").status_code == 503
    append(client, where, 0, b"a")
    assert create(client, 1, "b.jpg").status_code == 201


def test_metrics_count_unfinished_uploads(client: Client) -> None:
    append(client, begin(client, 5), 0, b"ab")
    text = client.get("/metrics").text
    assert "image_processor_resumable_uploads 1.0" in text
    assert "image_processor_resumable_bytes 2.0" in text


def _half_sent(live: httpx.Client, where: str, body: bytes) -> socket.socket:
    """A connection with a PATCH of 10 bytes of which ``body`` is sent."""
    connection = socket.create_connection((live.base_url.host, live.base_url.port), 30)
    head = [f"PATCH {where} HTTP/1.1", "Host: localhost", "Content-Length: 10", "Upload-Offset: 0"]
    head += [f"{name}: {value}" for name, value in BODY.items()]
    connection.sendall("\r\n".join([*head, "", ""]).encode() + body)
    return connection
