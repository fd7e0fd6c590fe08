"""The Python client against a running server, blocking and in an event loop."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import httpx
import pytest
from client_kinds import KINDS, connected
from client_site import Site, jpeg
from PIL import Image

from image_processor_client import (
    Forbidden,
    InvalidRequest,
    NotFound,
    PreconditionFailed,
    Refused,
    Skipped,
    Unauthorized,
    UrlBuilder,
    WaitTimeout,
)
from support.plain_http import NO_CERTIFICATES


def test_an_upload_is_waited_for_found_listed_and_deleted(client: Any, key: str) -> None:
    image = client.upload(jpeg(), key, wait=60)
    assert (image.original, image.status, image.facts.width) == (key, "processed", 120)
    assert [item.transformation for item in image.renditions if item.format == "webp"] == [
        "w=32,fm=webp",
        "w=64,fm=webp",
    ]
    assert client.id_of(key) == image.id
    assert client.get(image.id) == client.find(key) == image
    prefix = key.partition("/")[0]
    assert [item.id for item in client.list(prefix=prefix)] == [image.id]
    client.delete(image.id)
    assert client.find(key) is None
    with pytest.raises(NotFound, match="404 not-found: no image has the id") as caught:
        client.delete(image.id)
    assert caught.value.status == 404


@pytest.mark.parametrize("kind", ["bytes", "path", "file", "pipe"])
def test_bytes_a_path_and_an_open_file_are_stored_alike(
    client: Any, key: str, kind: str, tmp_path: Path, site: Site
) -> None:
    body = jpeg(200, 100)
    path = tmp_path / "name of its own.jpg"
    path.write_bytes(body)
    if kind == "bytes":
        upload = client.upload(body, key)
    elif kind == "path":
        upload = client.upload(path)
        key = path.name
    elif kind == "file":
        with path.open("rb") as file:
            file.read(0)
            upload = client.upload(file, key)
            assert not file.closed
    else:
        reader, writer = os.pipe()
        os.write(writer, body)
        os.close(writer)
        with open(reader, "rb") as file:  # noqa: PTH123 - a descriptor
            upload = client.upload(file, key)
    assert (upload.key, upload.bytes, upload.status) == (key, len(body), "queued")
    assert (site.uploads / key).read_bytes() == body
    assert client.wait(upload, timeout=60).version == upload.version


def test_an_open_file_is_read_from_where_it_stands(client: Any, key: str, site: Site) -> None:
    file = io.BytesIO(b"skipped" + jpeg())
    file.seek(7)
    client.upload(file, key)
    assert (site.uploads / key).read_bytes() == jpeg()


def test_an_upload_without_a_name_needs_a_key(client: Any) -> None:
    with pytest.raises(ValueError, match="expected a key for a file without a name, got none"):
        client.upload(jpeg())


def test_a_file_is_not_overwritten_against_the_rule(client: Any, key: str) -> None:
    first = client.upload(jpeg(), key, overwrite=False)
    with pytest.raises(PreconditionFailed, match="If-None-Match"):
        client.upload(jpeg(), key, overwrite=False)
    second = client.upload(jpeg(colour="red"), key, if_version=first.version)
    with pytest.raises(PreconditionFailed, match="If-Match"):
        client.upload(jpeg(), key, if_version=first.version)
    image = client.wait(second, timeout=60)
    assert image.version == second.version
    assert client.upload(jpeg(), key, wait=60).version != second.version


def test_a_signed_form_uploads_without_a_token(client: Any, key: str, site: Site) -> None:
    form = client.presign(key)
    posted = httpx.post(
        site.address + form.url,
        data=form.fields,
        files={"file": ("cat.jpg", jpeg())},
        verify=NO_CERTIFICATES,
        timeout=60,
    )
    assert posted.status_code == 201
    assert client.wait(form.id, timeout=60).original == key


@pytest.mark.parametrize("kind", KINDS)
def test_uploads_by_a_form_are_what_a_client_of_aws_does(kind: str, site: Site, key: str) -> None:
    for client in connected(kind, site.address, token=site.token, uploads="presigned"):
        assert client.upload(jpeg(), key, wait=60).status == "processed"
        upload = client.upload(io.BytesIO(jpeg(colour="red")), key)
        assert client.wait(upload, timeout=60).version == upload.version
        with pytest.raises(ValueError, match="a signed form has no conditions"):
            client.upload(jpeg(), key, overwrite=False)


def test_a_refused_file_says_why_and_what_helps(client: Any, key: str) -> None:
    with pytest.raises(Refused, match="422 refused") as caught:
        client.upload(b"no image", key, wait=60)
    assert caught.value.reason == "not-an-image"
    assert "Send a JPEG" in caught.value.fix
    assert caught.value.image.original == key
    with pytest.raises(Refused, match="the upload has no bytes"):
        client.upload(b"", key)
    with pytest.raises(Refused, match="expected at most 1048576 bytes") as too_large:
        client.upload(b"x" * 1_100_000, key)
    assert (too_large.value.status, too_large.value.reason) == (413, "too-many-bytes")


def test_a_key_without_renditions_is_said(client: Any) -> None:
    with pytest.raises(Skipped, match=r"nothing is made of 'private/a.jpg'"):
        client.upload(jpeg(), "private/a.jpg")


def test_waiting_ends(client: Any) -> None:
    with pytest.raises(
        WaitTimeout, match=r"expected image nosuchid to be processed within 0.3 s, got not found"
    ):
        client.wait("nosuchid", timeout=0.3)


def test_pages_are_iterated(client: Any, key: str) -> None:
    prefix = key.partition("/")[0]
    ids = {client.upload(jpeg(), f"{prefix}/{number}.jpg", wait=60).id for number in range(3)}
    listed = list(client.list(prefix=prefix, limit=2, sort="name", fields="saving"))
    assert {image.id for image in listed} == ids
    assert [image.original for image in listed] == [f"{prefix}/{number}.jpg" for number in range(3)]
    assert listed[0].renditions == ()
    page = client.page(prefix=prefix, limit=2, total=True)
    assert (len(page.images), page.total) == (2, 3)
    with pytest.raises(InvalidRequest) as caught:
        client.page(limit=5000)
    (problem,) = caught.value.problems
    assert (problem.name, problem.expected, problem.got) == ("limit", "1-1000", "5000")


def test_an_image_is_processed_again_and_rendered_on_demand(client: Any, key: str, site: Site) -> None:
    image = client.upload(jpeg(), key, wait=60)
    assert client.reprocess(image.id, wait=60).revision == image.revision + 1
    assert client.process(key).status == "processed"
    made = client.render(image.id, "w=50,fm=png")
    body = httpx.get(site.address + made.url, verify=NO_CERTIFICATES, timeout=60).content
    assert Image.open(io.BytesIO(body)).size == (50, 33)
    markup = client.markup(image.id, widths=[10, 20], alt="A cat")
    assert 'alt="A cat"' in markup.img
    assert markup.width == 20


def test_an_original_is_downloaded(client: Any, key: str) -> None:
    upload = client.upload(jpeg(), key)
    into = io.BytesIO()
    client.original(upload.id, into)
    assert into.getvalue() == jpeg()
    with pytest.raises(NotFound):
        client.original("nosuchid", into)


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_token_is_a_typed_error(kind: str, site: Site) -> None:
    for client in connected(kind, site.address):
        with pytest.raises(Unauthorized, match="401 unauthorized"):
            client.get("some-id")
    for client in connected(kind, site.address, token=site.read_token):
        assert client.find("none.jpg") is None
        with pytest.raises(Forbidden, match="403 insufficient-scope"):
            client.upload(jpeg(), "cat.jpg")


def test_the_server_opens_what_the_client_signs(client: Any, key: str, site: Site) -> None:
    image = client.upload(jpeg(), key, wait=60)
    urls = UrlBuilder(site.renditions, site.signing_key)
    http = httpx.Client(verify=NO_CERTIFICATES, timeout=60)
    signed = urls.url(key, width=17, format="png", blur=1)
    opened = http.get(signed)
    assert opened.status_code == 200, opened.text
    assert Image.open(io.BytesIO(opened.content)).size == (17, 11)
    assert http.get(signed.replace("w=17", "w=18")).json()["code"] == "signature-mismatch"
    assert (
        http.get(urls.url(key, w=17, fm="png", expires=1_000_000_000)).json()["code"] == "signature-expired"
    )
    public = UrlBuilder(site.renditions).url(key, preset="small", fm="auto")
    assert http.get(public, headers={"accept": "image/webp"}).headers["content-type"] == "image/webp"
    http.close()
    assert image.status == "processed"
