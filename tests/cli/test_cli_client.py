"""`upload`, `delete` and `open` against a real server and against buckets."""

from __future__ import annotations

import json
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace
from pictures_for_cli import draw
from test_cli_reconcile_aws import lambda_api, stack

from image_processor.catalog.objects import ObjectCatalog
from image_processor.config.tokens import Scope, create_token
from image_processor.domain.errors import NotFound
from image_processor.domain.models import ImageMetadata, Rendition, Status, Upload
from support.scripted_http import Reply, scripted
from support.served import RECIPE, Served

__all__ = ["lambda_api", "stack"]

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TOKEN, LINE = create_token(Scope.WRITE, "test")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server that asks for a token."""
    served = Served(tmp_path_factory.mktemp("served"), RECIPE, {"IMAGE_PROCESSOR_TOKENS": str(LINE)})
    served.start()
    yield served
    served.close()


@pytest.fixture
def at_server(server, monkeypatch):
    monkeypatch.setenv("IMGP_SERVER", server.address)
    monkeypatch.setenv("IMGP_TOKEN", TOKEN)
    return server.folder / "data"


def test_files_and_directories_are_uploaded_and_processed(run, server, at_server):
    bodies = {"a b/cat 1%.jpg": draw("in/a b/cat 1%.jpg"), "dog.png": draw("dog.png", format_="PNG")}
    status, out, err = run("upload", "in", "dog.png", "--prefix", "new/")
    assert (status, err) == (0, "")
    assert sorted(out.splitlines()) == sorted(f"new/{key}" for key in bodies)
    for key, body in bodies.items():
        assert (at_server / "uploads" / "new" / key).read_bytes() == body
        server.wait_until(lambda key=key: [*(at_server / "processed" / "new" / key).glob("*.jpg")])


def test_an_upload_is_opened_and_deleted_by_key_or_id(run, server, at_server):
    draw("one.jpg")
    draw("one.jpg.jpg")
    _, out, _ = run("upload", "one.jpg", "one.jpg.jpg", "--json")
    ids = {line["key"]: line["id"] for line in map(json.loads, out.splitlines())}
    processed = at_server / "processed"
    server.wait_until(lambda: all([*(processed / key).glob("*.jpg")] for key in ids))
    assert run("open", "one.jpg", "--print")[1] == f"{server.address}/#{ids['one.jpg']}\n"
    assert run("open", ids["one.jpg.jpg"], "--print")[1] == f"{server.address}/#{ids['one.jpg.jpg']}\n"
    assert run("delete", "one.jpg", ids["one.jpg.jpg"])[0] == 0
    status, _, err = run("open", "none.jpg", "--print")
    assert (status, "expected the key or id of an original of" in err, "got 'none.jpg'" in err) == (
        2,
        True,
        True,
    )
    assert not [*(at_server / "uploads").glob("one.jpg*")]
    server.wait_until(lambda: not [*processed.glob("one.jpg*/*.jpg")] or None)


def test_open_opens_a_browser(run, server, at_server, monkeypatch):
    draw("page.jpg")
    run("upload", "page.jpg", "--quiet")
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda address: not opened.append(address))
    server.wait_until(lambda: [*(at_server / "processed" / "page.jpg").glob("*.jpg")])
    assert run("open", "page.jpg")[:2] == (0, "")
    assert opened[0].startswith(f"{server.address}/#")


def test_what_the_server_refuses_is_reported_and_the_rest_is_done(run, at_server):
    draw("in/good.jpg")
    Path("in/empty.jpg").touch()
    status, out, err = run("upload", "in", "--prefix", "mixed/")
    assert (status, out) == (2, "mixed/good.jpg\n")
    assert err.startswith("failed: mixed/empty.jpg: expected a request that the server accepts")
    assert "the upload has no bytes" in err
    status, _, err = run("delete", "nothing.jpg", "mixed/good.jpg")
    assert (status, err.startswith("failed: nothing.jpg: ")) == (2, True)
    assert not (at_server / "uploads" / "mixed" / "good.jpg").exists()


def test_urls_are_fetched_by_a_server_that_may(run, tmp_path_factory, monkeypatch):
    body = draw("photo.jpg")
    with scripted(Reply(body=body)) as source:
        source.respond = lambda seen: Reply(body=body) if seen.target == "/photos/a%20b.jpg" else Reply(404)
        sources = {"REMOTE_SOURCES": f"shop/={source.address}/photos/", "REMOTE_PRIVATE": "127.0.0.1"}
        settings = {f"IMAGE_PROCESSOR_{name}": value for name, value in sources.items()}
        served = Served(tmp_path_factory.mktemp("fetching"), RECIPE, settings)
        served.start()
        monkeypatch.setenv("IMGP_SERVER", served.address)
        try:
            url = f"{source.address}/photos/a%20b.jpg"
            assert run("upload", url, "photo.jpg")[:2] == (0, "photo.jpg\nshop/a b.jpg\n")
            assert run("upload", url, "--prefix", "new/")[:2] == (0, "new/a b.jpg\n")
            uploads = served.folder / "data" / "uploads"
            assert (uploads / "shop" / "a b.jpg").read_bytes() == body
            assert (uploads / "new" / "a b.jpg").read_bytes() == body
            status, out, err = run(
                "upload", f"{source.address}/photos/none.jpg", "https://evil.example/a.jpg"
            )
            assert (status, out) == (2, "")
            assert "has no such file" in err
            assert "expected a URL below http://127.0.0.1" in err
        finally:
            served.close()


def test_a_server_that_asks_for_a_token_gets_one(run, at_server, monkeypatch):
    draw("cat.jpg")
    monkeypatch.delenv("IMGP_TOKEN")
    status, _, err = run("upload", "cat.jpg", "--prefix", "secret/")
    assert (status, "expected a token of http://" in err) == (2, True)
    assert "for IMGP_TOKEN, got '401: expected a token, got none'" in err
    assert not (at_server / "uploads" / "secret").exists()


def test_a_server_that_is_not_there_is_a_temporary_failure(run):
    draw("cat.jpg")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    status, _, err = run("upload", "cat.jpg", "--server", f"http://127.0.0.1:{port}")
    assert (status, f"cannot reach http://127.0.0.1:{port}: Connection refused; start it" in err) == (3, True)
    assert "--server" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["upload", "none.jpg"], "expected a file or directory that exists for FILE|DIR"),
        (["upload", "https://x/a.jpg", "--stack", "s"], "expected files with --stack, because only a server"),
        (["upload", "cat.jpg", "--server", "ftp://x"], "expected an address such as https://images.example"),
        (
            ["upload", "cat.jpg", "--stack", "s", "--server", "http://x"],
            "expected either --server or --stack",
        ),
        (
            ["delete", "cat.jpg", "--region", "eu-west-1"],
            "expected a stack if there is --profile or --region",
        ),
    ],
)
def test_a_wrong_call_is_an_error(run, arguments, message):
    draw("cat.jpg")
    status, _, err = run(*arguments)
    assert status == 2
    assert message in err


def test_a_stack_gets_the_files_in_its_bucket(run, stack, lambda_api):
    stack.variables["IMAGE_PROCESSOR_TABLE"] = "objects://"
    lambda_api.answer()
    body = draw("cat.png", format_="PNG")
    assert run("upload", "cat.png", "--prefix", "new/", "--stack", "pictures")[:2] == (0, "new/cat.png\n")
    stored = stack.uploads.get("new/cat.png")
    assert (stored.body, stored.attributes.media_type) == (body, "image/png")
    lambda_api.answer()
    assert run("delete", "new/cat.png", "--stack", "pictures")[0] == 0
    with pytest.raises(NotFound):
        stack.uploads.head("new/cat.png")
    lambda_api.answer()
    status, _, err = run("delete", "new/cat.png", "--stack", "pictures")
    assert (status, "there is no original 'new/cat.png'" in err) == (2, True)


def test_open_shows_the_largest_public_rendition_of_a_stack(run, stack, lambda_api):
    stack.variables |= {
        "IMAGE_PROCESSOR_TABLE": "objects://",
        "IMAGE_PROCESSOR_PUBLIC_URL": "https://cdn.test",
    }
    catalog = ObjectCatalog(stack.processed)
    lease = catalog.acquire(
        Upload("my-uploads", "a/cat.jpg"), owner="test", now=NOW, duration=timedelta(minutes=1)
    )
    renditions = tuple(
        Rendition(
            f"a/cat.jpg/{mark}w={w},fm=jpeg.jpg",
            f"w={w},fm=jpeg",
            ImageMetadata(w, w, "jpeg", 1, False, 1, "ab" * 32),
            "v",
        )
        for mark, w in (("", 8), ("", 16), ("~", 32))
    )
    record = replace(lease.record, status=Status.PROCESSED, renditions=renditions, updated_at=NOW)
    catalog.complete(lease, record)
    lambda_api.answer()
    status, out, err = run("open", "a/cat.jpg", "--print", "--stack", "pictures")
    assert (status, err) == (0, "")
    assert out == f"https://cdn.test/a/cat.jpg/w=16,fm=jpeg.jpg?v={'ab' * 8}\n"
    lambda_api.answer()
    stack.variables.pop("IMAGE_PROCESSOR_PUBLIC_URL")
    lambda_api.answer()
    status, _, err = run("open", "a/cat.jpg", "--print", "--stack", "pictures")
    assert (status, "an original with a public rendition, on a stack with a CDN" in err) == (2, True)
    lambda_api.answer()
    assert run("open", "none.jpg", "--stack", "pictures")[0] == 2
