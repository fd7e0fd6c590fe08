"""`process` as a user meets it: renditions, refusals, the summary, wrong calls."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from pictures_for_cli import RECIPE, draw
from PIL import Image

from image_processor.cli.output import format_bytes
from image_processor.domain.errors import Unavailable
from image_processor.standalone import workers
from image_processor.storage.directory import DirectoryStore


def test_process_renders_files_and_directories(run):
    draw("photos/deep/cat.jpg")
    draw("dog.png", format_="PNG")
    Path("r.toml").write_text(RECIPE)
    status, out, err = run("process", "photos", "dog.png", "--out", "out", "--recipe", "r.toml")
    assert (status, err) == (0, "")
    result = {str(path) for path in Path("out").rglob("*.webp")}
    assert result == {f"out/{key}/w={w},fm=webp.webp" for key in ("deep/cat.jpg", "dog.png") for w in (8, 16)}
    assert "2 processed; renditions are in out" in out
    with Image.open("out/dog.png/w=16,fm=webp.webp") as picture:
        assert (picture.format, picture.size) == ("WEBP", (16, 12))


def test_process_reports_refused_files_and_continues(run):
    body = draw("in/good.jpg")
    Path("in/text.jpg").write_text("hello")
    Path("in/empty.jpg").touch()
    Path("in/cut.jpg").write_bytes(body[: len(body) // 2])
    Path("in/outside.jpg").symlink_to("/etc/hostname")
    Path("r.toml").write_text(RECIPE)
    status, out, err = run("process", "in", "--out", "out", "--recipe", "r.toml")
    assert status == 1
    assert "1 processed" in out
    assert "4 refused" in out
    reasons = dict(line.removeprefix("refused: ").split(" (")[:2] for line in err.splitlines())
    assert {key: reason.split(")")[0] for key, reason in reasons.items()} == {
        "text.jpg": "not-an-image",
        "empty.jpg": "empty",
        "cut.jpg": "truncated",
        "outside.jpg": "outside-root",
    }
    assert {path.parts[1] for path in Path("out").rglob("*.webp")} == {"good.jpg"}


def test_process_says_what_tries_a_failed_file_again(run, monkeypatch, caplog):
    def full(*_args, **_kwargs):
        raise Unavailable("no space left on device")

    monkeypatch.setattr(DirectoryStore, "put", full)
    monkeypatch.setattr(workers, "MAX_ATTEMPTS", 1)
    draw("in/cat.jpg")
    Path("r.toml").write_text(RECIPE)
    status, _, err = run("process", "in", "--out", "out", "--recipe", "r.toml")
    assert (status, "failed: cat.jpg: no space left on device" in err) == (3, True)
    (message,) = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert message == "'cat.jpg' is left to another run of this command: no space left on device"


def test_process_prints_a_json_object_per_original(run):
    body = draw("cat.jpg")
    Path("bad.jpg").write_text("hello")
    Path("r.toml").write_text(RECIPE)
    status, out, _ = run("process", "cat.jpg", "bad.jpg", "--out", "out", "--recipe", "r.toml", "--json")
    assert status == 1
    cat, bad = map(json.loads, out.splitlines())
    assert (cat["original"], cat["status"], cat["bytes"]) == ("cat.jpg", "processed", len(body))
    assert [(r["key"], r["width"], r["height"]) for r in cat["renditions"]] == [
        ("cat.jpg/w=8,fm=webp.webp", 8, 6),
        ("cat.jpg/w=16,fm=webp.webp", 16, 12),
    ]
    assert bad["bytes"] is None
    assert (bad["status"], bad["reason"], bad["renditions"]) == ("refused", "not-an-image", [])
    assert bad["message"] == "expected JPEG, PNG, WebP, AVIF, GIF or TIFF, got something else"


def test_process_is_repeatable(run):
    draw("cat.jpg")
    Path("r.toml").write_text(RECIPE)
    for _ in range(2):
        assert run("process", "cat.jpg", "--out", "out", "--recipe", "r.toml")[0] == 0
        result = {path: path.read_bytes() for path in Path("out/cat.jpg").iterdir()}
        assert len(result) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["nothing.jpg", "--out", "out"],
            "expected a file or directory that exists for FILE|DIR, got 'nothing.jpg'",
        ),
        (
            ["pipe.jpg", "--out", "out"],
            "expected a file or directory that exists for FILE|DIR, got 'pipe.jpg'",
        ),
        (["a", "--out", "a/cat.jpg/x"], "expected a directory outside a for --out"),
        (["empty", "--out", "r.toml/x"], "expected at least one file for FILE|DIR, got none"),
        (["a/in/cat.jpg", "--out", "a/cat.jpg/x"], "expected a directory that can be created for --out"),
        (["empty", "--out", "out"], "expected at least one file for FILE|DIR, got none"),
        (["a", "--out", "a/out"], "expected a directory outside a for --out, got 'a/out'"),
        (["a/in", "--out", "a"], "expected a directory outside a/in for --out, got 'a'"),
        (
            ["a", "--out", "out", "--name", "{stem}-{size}.jpg"],
            "expected a name with the fields {stem}, {width}",
        ),
        (["a", "--out", "out", "--name", "{width:4}.jpg"], "expected a name with the fields {stem}, {width}"),
        (["a", "--out", "out", "--name", "small"], "expected a name with the fields {stem}, {width}"),
        (["a", "--out", "out", "--name", "{"], "expected a name with the fields {stem}, {width}"),
        (
            ["a", "--out", "out", "--name", "../{stem}"],
            "expected a path inside the output directory for --name",
        ),
        (
            ["a", "--out", "out", "--name", "/{stem}"],
            "expected a path inside the output directory for --name",
        ),
        (
            ["a/cat.jpg", "--out", "out", "--watch"],
            "expected directories as inputs for --watch, got 'a file'",
        ),
        (["a", "--out", "out", "--workers", "999"], "expected 0-256 for --workers, got '999'"),
        (
            ["a", "--out", "out", "--recipe", "no.toml"],
            "recipe file for no.toml, got No such file or directory",
        ),
    ],
)
def test_process_reports_every_usage_error_before_it_starts(run, arguments, message):
    draw("a/cat.jpg")
    draw("a/in/cat.jpg")
    Path("empty").mkdir()
    os.mkfifo("pipe.jpg")
    status, _, err = run("process", *arguments)
    assert status == 2
    assert message in err
    assert not Path("out").exists()
    assert not Path("a/out").exists()


def test_process_prints_a_summary(run):
    before = len(draw("cat.jpg", size=(400, 300)))
    Path("r.toml").write_text(RECIPE)
    _, out, _ = run("process", "cat.jpg", "--out", "out", "--recipe", "r.toml")
    after = Path("out/cat.jpg/w=16,fm=webp.webp").stat().st_size
    row = next(line.split() for line in out.splitlines() if line.strip().startswith("cat.jpg"))
    assert row[-2:] == [f"{100 - 100 * after / before:.0f}", "%"]
    assert row[1:3] == format_bytes(before).split()


def test_a_progress_bar_is_shown_on_a_terminal(monkeypatch, tmp_path):
    """On a terminal of its own, as a person would have it."""
    monkeypatch.chdir(tmp_path)
    draw("bar/cat.jpg")
    Path("r.toml").write_text(RECIPE)
    command = [
        sys.executable,
        "-m",
        "image_processor",
        "process",
        "bar",
        "--out",
        "out",
        "--recipe",
        "r.toml",
    ]
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command, stderr=theirs, stdout=subprocess.DEVNULL, env={**os.environ, "TERM": "xterm"}
    ):
        os.close(theirs)
        seen = b""
        with contextlib.suppress(OSError):  # the terminal of a program that has ended
            while block := os.read(ours, 4096):
                seen += block
    os.close(ours)
    assert b"processing" in seen
    assert b"1/1" in seen


def test_process_names_skipped_files(run):
    draw("in/cat.jpg")
    os.mkfifo("in/pipe.jpg")
    Path("in/dangling.jpg").symlink_to("nowhere")
    Path(os.fsdecode(b"in/bad\xff.jpg")).touch()
    Path("r.toml").write_text(RECIPE)
    status, out, err = run("process", "in", "--out", "out", "--recipe", "r.toml")
    assert (status, "1 processed" in out) == (0, True)
    left_out = {line.split(": ")[1] for line in err.splitlines() if line.startswith("left out: ")}
    assert left_out == {"pipe.jpg", "dangling.jpg", "bad\\udcff.jpg"}


def test_a_link_keeps_its_name_and_must_stay_inside_its_directory(run):
    draw("here/real.jpg")
    Path("here/near.jpg").symlink_to("real.jpg")
    Path("here/far.jpg").symlink_to("/etc/hostname")
    Path("r.toml").write_text(RECIPE)
    status, _, err = run("process", "here/near.jpg", "here/far.jpg", "--out", "out", "--recipe", "r.toml")
    assert status == 1
    assert err.startswith("refused: far.jpg (outside-root)")
    assert Path("out/near.jpg/w=8,fm=webp.webp").exists()


def test_the_summary_counts_the_bytes_of_a_links_target(run):
    draw("in/cat.jpg", size=(400, 300))
    Path("in/link.jpg").symlink_to("cat.jpg")
    Path("r.toml").write_text(RECIPE)
    _, out, _ = run("process", "in", "--out", "out", "--recipe", "r.toml")
    saved = {line.split()[0]: line.split()[-2:] for line in out.splitlines() if ".jpg" in line}
    assert saved["cat.jpg"] == saved["link.jpg"]
