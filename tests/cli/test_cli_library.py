"""`list`, `show` and `reconcile` as a user sees them."""

from __future__ import annotations

import json
import os
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace
from pictures_for_cli import RECIPE, draw
from PIL import Image

from image_processor.bootstrap import aws
from image_processor.catalog.objects import ObjectCatalog
from image_processor.catalog.sqlite import SqliteCatalog
from image_processor.domain.keys import image_id
from image_processor.domain.models import MessageKind, OutboxMessage, Status, Upload
from image_processor.domain.ports import Attributes
from support.memory_store import MemoryStore


@pytest.fixture
def library(run):
    """A data directory with one processed and one refused original."""
    draw("data/uploads/photos/cat.jpg")
    Path("data/uploads/bad.jpg").write_text("hello")
    Path("r.toml").write_text(RECIPE)
    status, out, err = run("reconcile", "--data", "data", "--recipe", "r.toml")
    assert status == 1, err
    assert "missing: photos/cat.jpg" in out
    assert "2 found" in out
    assert "refused: bad.jpg (not-an-image): expected JPEG" in err
    return run


def test_reconcile_finds_and_processes_everything(library):
    assert len(list(Path("data/processed/photos/cat.jpg").iterdir())) == 2
    assert library("reconcile", "--data", "data", "--recipe", "r.toml") == (0, "0 found\n", "")


def test_reconcile_deletes_nothing_if_most_originals_are_gone(run):
    Path("data/uploads").mkdir(parents=True)
    Path("data/processed").mkdir()
    now = datetime.now(UTC)
    with closing(SqliteCatalog(Path("data/catalog.sqlite"))) as catalog:
        for number in range(101):
            upload = Upload("uploads", f"{number}.jpg")
            lease = catalog.acquire(upload, owner="test", now=now, duration=timedelta(minutes=1))
            catalog.complete(lease, replace(lease.record, status=Status.PROCESSED))
    status, out, err = run("reconcile", "--data", "data")
    assert (status, out.count("held: "), out.splitlines()[-1]) == (3, 101, "101 found")
    assert err.count("101 of 101 originals are gone") == 1
    assert "--accept-deletions" in err
    assert "0 found" not in run("reconcile", "--data", "data", "--accept-deletions")[1]
    assert run("reconcile", "--data", "data") == (0, "0 found\n", "")


def test_reconcile_dry_run_only_reports(library):
    Path("data/uploads/photos/cat.jpg").unlink()
    draw("data/uploads/new.jpg")
    status, out, _ = library("reconcile", "--data", "data", "--recipe", "r.toml", "--dry-run")
    assert status == 0
    lines = out.splitlines()
    assert sorted(lines[:2]) == ["missing: new.jpg", "orphaned: photos/cat.jpg"]
    assert lines[2] == "2 found, nothing done (--dry-run)"
    assert len(list(Path("data/processed/photos/cat.jpg").iterdir())) == 2
    assert not Path("data/processed/new.jpg").exists()


def test_reconcile_applies_a_changed_recipe(library):
    Path("r.toml").write_text(RECIPE.replace("16", "12"))
    status, out, _ = library("reconcile", "--data", "data", "--recipe", "r.toml", "--json")
    assert status == 1  # the refused one is refused again
    found = [json.loads(line) for line in out.splitlines()]
    assert {"key": "photos/cat.jpg", "why": "stale"} in found
    names = {path.name for path in Path("data/processed/photos/cat.jpg").iterdir()}
    assert names == {"w=8,fm=webp.webp", "w=12,fm=webp.webp"}


@pytest.fixture
def aws_environment(run, monkeypatch):  # noqa: ARG001 - it empties the environment first
    """Credentials and a region in the environment, and no config files."""
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "none")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")


def use_buckets(monkeypatch, uploads, processed):
    """Replace S3 by two stores in memory, and name their buckets in the settings."""
    buckets = {"s3://my-uploads": uploads, "s3://my-renditions": processed}
    monkeypatch.setattr(aws, "store_from_url", lambda url, **_: buckets[url])
    monkeypatch.setenv("IMAGE_PROCESSOR_UPLOAD_BUCKET", "my-uploads")
    monkeypatch.setenv("IMAGE_PROCESSOR_PROCESSED_BUCKET", "my-renditions")
    monkeypatch.setenv("IMAGE_PROCESSOR_TABLE", "objects://")


@pytest.mark.usefixtures("aws_environment")
def test_reconcile_works_on_buckets_too(run, monkeypatch):
    body = draw("cat.jpg")
    uploads, processed = MemoryStore(), MemoryStore()
    uploads.put("photos/cat.jpg", body, Attributes())
    uploads.put("bad.jpg", b"hello", Attributes())
    use_buckets(monkeypatch, uploads, processed)
    Path("r.toml").write_text(RECIPE)
    status, out, err = run("reconcile", "--aws", "--recipe", "r.toml", "--dry-run")
    assert (status, err) == (0, "")
    assert out.splitlines() == [
        "missing: bad.jpg",
        "missing: photos/cat.jpg",
        "2 found, nothing done (--dry-run)",
    ]
    assert processed.bodies() == {}
    status, _, err = run("reconcile", "--aws", "--here", "--recipe", "r.toml")
    assert status == 1
    assert err.startswith("refused: bad.jpg (not-an-image)")
    result = {key for key in processed.bodies() if key.endswith(".webp")}
    assert result == {f"photos/cat.jpg/w={width},fm=webp.webp" for width in (8, 16)}
    assert run("reconcile", "--aws", "--here", "--recipe", "r.toml") == (0, "0 found\n", "")


def test_reconcile_without_the_servers_webhook_keeps_its_events(library):
    message = OutboxMessage("e1", MessageKind.EVENT, "photos/cat.jpg", datetime.now(UTC), "{}")
    with closing(SqliteCatalog(Path("data/catalog.sqlite"))) as catalog:
        leave_unsent(catalog, "uploads", "photos/cat.jpg", message)
    draw("data/uploads/photos/cat.jpg", size=(44, 30))
    assert "1 found" in library("reconcile", "--data", "data", "--recipe", "r.toml")[1]
    with closing(SqliteCatalog(Path("data/catalog.sqlite"))) as catalog:
        assert catalog.unsent(image_id("uploads", "photos/cat.jpg")) == (message,)


@pytest.mark.usefixtures("aws_environment")
def test_reconcile_without_the_stacks_bus_and_queue_keeps_its_messages(run, monkeypatch):
    uploads, processed = MemoryStore(), MemoryStore()
    uploads.put("cat.jpg", draw("cat.jpg"), Attributes())
    use_buckets(monkeypatch, uploads, processed)
    Path("r.toml").write_text(RECIPE)
    messages = [
        OutboxMessage("m1", kind, "cat.jpg", datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC))
        for second, kind in enumerate((MessageKind.EVENT, MessageKind.INVALIDATION))
    ]
    leave_unsent(ObjectCatalog(processed), "my-uploads", "cat.jpg", *messages)
    assert "1 found" in run("reconcile", "--aws", "--here", "--recipe", "r.toml")[1]
    assert [key for key in processed.bodies() if key.endswith(".webp")]
    assert ObjectCatalog(processed).unsent(image_id("my-uploads", "cat.jpg")) == tuple(messages)


def leave_unsent(catalog, bucket, key, *messages):
    lease = catalog.acquire(Upload(bucket, key), owner="t", now=datetime.now(UTC), duration=timedelta(1))
    catalog.complete(lease, lease.record, messages)


@pytest.mark.usefixtures("aws_environment")
def test_reconcile_migrates_what_an_earlier_version_stored(run, monkeypatch):
    uploads, processed = MemoryStore(), MemoryStore()
    left = ".image-processor/records/abc.json"
    processed.put(left, b"{}", Attributes())
    use_buckets(monkeypatch, uploads, processed)
    reconcile = ("reconcile", "--aws", "--here")
    assert run(*reconcile, "--dry-run")[1] == "0 found, nothing done (--dry-run)\n"
    assert list(processed.bodies()) == [left]
    assert run(*reconcile)[1] == "1 records of an earlier version migrated\n0 found\n"
    assert processed.bodies() == {}


@pytest.mark.usefixtures("aws_environment")
def test_reconcile_on_aws_needs_both_buckets(run):
    status, _, err = run("reconcile", "--aws")
    assert status == 2
    assert "expected a bucket name for IMAGE_PROCESSOR_UPLOAD_BUCKET, got nothing" in err


def test_list_shows_the_originals(library):
    status, out, _ = library("list", "--data", "data")
    assert status == 0
    assert "photos/cat.jpg" in out
    assert "refused: not-an-image" in out
    _, out, _ = library("list", "--data", "data", "--status", "processed", "--json")
    assert [json.loads(line)["original"] for line in out.splitlines()] == ["photos/cat.jpg"]
    _, out, _ = library("list", "--data", "data", "--prefix", "none")
    assert out == "No originals.\n"


def test_show_finds_an_original_by_key_or_id(library):
    status, out, _ = library("show", "photos/cat.jpg", "--data", "data")
    assert status == 0
    assert "40 x 30 jpeg" in out
    assert "photos/cat.jpg/w=16,fm=webp.webp" in out
    record = json.loads(library("show", "photos/cat.jpg", "--data", "data", "--json")[1])
    assert (record["status"], len(record["renditions"])) == ("processed", 2)
    assert (record["original"], record["facts"]["width"]) == ("photos/cat.jpg", 40)
    assert record["created_at"].endswith("Z")
    assert library("show", record["id"], "--data", "data")[1] == out
    refused = library("show", "bad.jpg", "--data", "data")[1]
    assert "refused: not-an-image" in refused
    assert "Rendition" not in refused


def test_show_prints_the_visual_summary_and_exif(run, monkeypatch):
    monkeypatch.setenv("IMAGE_PROCESSOR_EXIF", "make,gps")
    path = Path("data/uploads/cat.jpg")
    path.parent.mkdir(parents=True)
    exif = Image.Exif()
    exif[0x010F] = "Canon\x1b[31m"
    Image.new("RGB", (40, 30), "red").save(path, exif=exif)
    Path("r.toml").write_text(RECIPE)
    assert run("reconcile", "--data", "data", "--recipe", "r.toml")[0] == 0
    out = run("show", "cat.jpg", "--data", "data")[1]
    record = json.loads(run("show", "cat.jpg", "--data", "data", "--json")[1])
    assert record["exif"] == {"make": "Canon [31m"}
    assert "make: Canon [31m" in out
    for fact in (*record["palette"], record["blurhash"], record["thumbhash"], record["perceptual_hash"]):
        assert fact in out
    assert "focus 0.5,0.5" in out


def test_show_of_an_unknown_original_is_an_error(library):
    status, _, err = library("show", "nobody.jpg", "--data", "data")
    assert (status, err) == (2, "error: expected the key or id of an original for KEY, got 'nobody.jpg'\n")


@pytest.mark.parametrize(
    "command", [["list"], ["show", "cat.jpg"], ["similar", "cat.jpg"], ["reconcile", "--dry-run"]]
)
def test_reading_a_missing_library_creates_none(run, command):
    status, _, err = run(*command, "--data", "nowhere")
    assert status == 2
    assert "expected a data directory that exists for --data, got 'nowhere'" in err
    assert not Path("nowhere").exists()


MARKUP = "photo [draft] [/bold].jpg"


def test_keys_that_look_like_markup_are_printed_as_they_are(run):
    draw(f"data/uploads/{MARKUP}")
    Path("r.toml").write_text(RECIPE)
    assert run("reconcile", "--data", "data", "--recipe", "r.toml")[0] == 0
    assert MARKUP in run("list", "--data", "data")[1]
    assert MARKUP in run("show", MARKUP, "--data", "data")[1]
    status, out, _ = run("process", "data/uploads", "--out", "out[x]", "--recipe", "r.toml")
    assert status == 0
    assert MARKUP in out
    assert "renditions are in out[x]" in out


def rot(path):
    """Change one bit of a file, and put its time back."""
    before = path.stat()
    body = bytearray(path.read_bytes())
    body[-1] ^= 1
    path.write_bytes(body)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_verify_finds_and_repairs_damaged_renditions(library):
    path = Path("data/processed/photos/cat.jpg/w=8,fm=webp.webp")
    good = path.read_bytes()
    rot(path)
    assert library("reconcile", "--recipe", "r.toml") == (0, "0 found\n", "")
    line = "damaged: photos/cat.jpg (w=8,fm=webp.webp has other bytes than were written)"
    status, out, err = library("reconcile", "--recipe", "r.toml", "--verify", "--dry-run")
    assert (status, out.splitlines(), err) == (0, [line, "1 found, nothing done (--dry-run)"], "")
    assert path.read_bytes() != good
    assert library("reconcile", "--recipe", "r.toml", "--verify") == (0, f"{line}\n1 found\n", "")
    assert path.read_bytes() == good
    assert library("reconcile", "--recipe", "r.toml", "--verify") == (0, "0 found\n", "")


def test_verify_only_reports_a_damaged_original(library):
    rot(Path("data/processed/photos/cat.jpg/w=8,fm=webp.webp"))
    rot(Path("data/uploads/photos/cat.jpg"))
    status, out, err = library("reconcile", "--recipe", "r.toml", "--verify", "--json")
    assert status == 3
    (line,) = map(json.loads, out.splitlines())
    assert (line["key"], line["why"]) == ("photos/cat.jpg", "damaged")
    assert err == f"not done: photos/cat.jpg: {line['detail']}\n"


@pytest.mark.usefixtures("aws_environment")
def test_verify_works_on_buckets_too(run, monkeypatch):
    uploads, processed = MemoryStore(), MemoryStore()
    uploads.put("cat.jpg", draw("cat.jpg"), Attributes())
    use_buckets(monkeypatch, uploads, processed)
    Path("r.toml").write_text(RECIPE)
    assert run("reconcile", "--aws", "--here", "--recipe", "r.toml")[0] == 0
    key = "cat.jpg/w=8,fm=webp.webp"
    good = processed._objects[key]
    processed._objects[key] = replace(good, body=good.body[:-1] + b"?")
    status, out, _ = run("reconcile", "--aws", "--here", "--recipe", "r.toml", "--verify")
    assert (status, out.splitlines()[-1]) == (0, "1 found")
    assert processed.bodies()[key] == good.body


def test_a_piped_table_is_not_cut_to_80_columns(library, monkeypatch):
    monkeypatch.delenv("COLUMNS")
    key = "photos/" + "a-long-name-" * 12 + ".jpg"
    draw(f"data/uploads/{key}")
    assert library("reconcile", "--data", "data", "--recipe", "r.toml")[0] == 0
    for arguments in (("list",), ("show", key), ("similar", "photos/cat.jpg")):
        _, out, _ = library(*arguments, "--data", "data")
        assert key in out, arguments
        assert max(map(len, out.splitlines())) < 400
    monkeypatch.setenv("COLUMNS", "60")
    _, out, _ = library("list", "--data", "data")
    assert max(map(len, out.splitlines())) <= 60
