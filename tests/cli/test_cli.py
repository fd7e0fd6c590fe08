"""The command line as a user meets it: output, errors, exit statuses."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from image_processor import __version__
from image_processor.cli import main
from image_processor.cli.shown import in_units, printable
from image_processor.embedded import workers
from image_processor.engine import runtime
from image_processor.engine.isolation import IsolatedRenderer
from image_processor.errors import ClaimBusy, UnsafeRuntime
from image_processor.ingest.process import Processor
from image_processor.ports import Attributes
from image_processor.recipes import DEFAULT_RECIPE
from image_processor.wiring import cloud
from support.memory import MemoryStore

RECIPE = '[presets.p]\nwidths = [8, 16]\nformats = ["webp"]\n[[rules]]\nmatch = "**"\npresets = ["p"]\n'

UNSAFE_CHILD = """
from image_processor.engine import child
from image_processor.errors import UnsafeRuntime
def unsafe():
    raise UnsafeRuntime("no safe libvips here")
child.runtime.start = unsafe
child.main()
"""


@pytest.fixture
def run(monkeypatch, tmp_path, capfd):
    """Run the command line in an empty directory; gives (status, output, errors)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    for name in [name for name in os.environ if name.startswith("IMAGE_PROCESSOR_")]:
        monkeypatch.delenv(name)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["image-processor", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        return ended.value.code or 0, out, err

    return call


def draw(path, size=(40, 30), format_="JPEG"):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(1).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, format_)
    return path.read_bytes()


def test_process_makes_the_renditions_of_files_and_directories(run):
    draw("photos/deep/cat.jpg")
    draw("dog.png", format_="PNG")
    Path("r.toml").write_text(RECIPE)
    status, out, err = run("process", "photos", "dog.png", "--out", "out", "--recipe", "r.toml")
    assert (status, err) == (0, "")
    made = {str(path) for path in Path("out").rglob("*.webp")}
    assert made == {f"out/{key}/w={w},fm=webp.webp" for key in ("deep/cat.jpg", "dog.png") for w in (8, 16)}
    assert "2 processed; renditions are in out" in out
    with Image.open("out/dog.png/w=16,fm=webp.webp") as picture:
        assert (picture.format, picture.size) == ("WEBP", (16, 12))


def test_process_tells_what_was_refused_and_does_the_rest(run):
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


def test_process_again_gives_the_same_files(run):
    draw("cat.jpg")
    Path("r.toml").write_text(RECIPE)
    for _ in range(2):
        assert run("process", "cat.jpg", "--out", "out", "--recipe", "r.toml")[0] == 0
        made = {path: path.read_bytes() for path in Path("out/cat.jpg").iterdir()}
        assert len(made) == 2


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
        (["a/in/cat.jpg", "--out", "a/cat.jpg/x"], "expected a directory that can be made for --out"),
        (["empty", "--out", "out"], "expected at least one file for FILE|DIR, got none"),
        (["a", "--out", "a/out"], "expected a directory outside a for --out, got 'a/out'"),
        (["a/in", "--out", "a"], "expected a directory outside a/in for --out, got 'a'"),
        (["a/cat.jpg", "a/in/cat.jpg", "--out", "out"], "expected inputs with different names for FILE|DIR"),
        (["a", "--out", "out", "--workers", "999"], "expected 0-256 for --workers, got '999'"),
        (["a", "--out", "out", "--recipe", "no.toml"], "expected a readable recipe file for no.toml"),
    ],
)
def test_process_says_what_is_wrong_before_it_makes_anything(run, arguments, message):
    draw("a/cat.jpg")
    draw("a/in/cat.jpg")
    Path("empty").mkdir()
    os.mkfifo("pipe.jpg")
    status, _, err = run("process", *arguments)
    assert status == 2
    assert message in err
    assert not Path("out").exists()
    assert not Path("a/out").exists()


def test_recipe_check_lists_what_a_recipe_makes(run):
    Path("r.toml").write_text(RECIPE)
    status, out, err = run("recipe", "check", "r.toml")
    assert (status, err) == (0, "")
    assert "w=8,fm=webp" in out
    assert "rule ** -> p" in out


def test_recipe_check_explains_every_mistake_with_its_line(run):
    Path("r.toml").write_text(RECIPE.replace("16", "0").replace('"p"]', '"q"]'))
    status, _, err = run("recipe", "check", "r.toml")
    assert status == 2
    lines = err.splitlines()
    assert lines[0].startswith("r.toml: line 2: expected a whole number of pixels from 1 to 16383")
    assert lines[1].startswith("r.toml: line 6: expected a preset of this recipe (p)")


def test_recipe_show_prints_the_built_in_recipe(run):
    status, out, _ = run("recipe", "show")
    assert status == 0
    assert tomllib.loads(out) == tomllib.loads(DEFAULT_RECIPE)


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


def test_reconcile_finds_and_does_all_the_work(library):
    assert len(list(Path("data/processed/photos/cat.jpg").iterdir())) == 2
    assert library("reconcile", "--data", "data", "--recipe", "r.toml") == (0, "0 found\n", "")


def test_reconcile_dry_run_only_tells(library):
    Path("data/uploads/photos/cat.jpg").unlink()
    draw("data/uploads/new.jpg")
    status, out, _ = library("reconcile", "--data", "data", "--recipe", "r.toml", "--dry-run")
    assert status == 0
    lines = out.splitlines()
    assert sorted(lines[:2]) == ["missing: new.jpg", "orphaned: photos/cat.jpg"]
    assert lines[2] == "2 found, nothing done (--dry-run)"
    assert len(list(Path("data/processed/photos/cat.jpg").iterdir())) == 2
    assert not Path("data/processed/new.jpg").exists()


def test_reconcile_makes_what_a_changed_recipe_wants(library):
    Path("r.toml").write_text(RECIPE.replace("16", "12"))
    status, out, _ = library("reconcile", "--data", "data", "--recipe", "r.toml", "--json")
    assert status == 1  # the refused one is refused again
    found = [json.loads(line) for line in out.splitlines()]
    assert {"key": "photos/cat.jpg", "why": "stale"} in found
    names = {path.name for path in Path("data/processed/photos/cat.jpg").iterdir()}
    assert names == {"w=8,fm=webp.webp", "w=12,fm=webp.webp"}


def test_reconcile_works_on_buckets_too(run, monkeypatch):
    body = draw("cat.jpg")
    uploads, processed = MemoryStore(), MemoryStore()
    uploads.put("photos/cat.jpg", body, Attributes())
    uploads.put("bad.jpg", b"hello", Attributes())
    buckets = {"my-uploads": uploads, "my-renditions": processed}
    monkeypatch.setattr(cloud, "S3Store", buckets.__getitem__)
    monkeypatch.setenv("IMAGE_PROCESSOR_UPLOAD_BUCKET", "my-uploads")
    monkeypatch.setenv("IMAGE_PROCESSOR_PROCESSED_BUCKET", "my-renditions")
    Path("r.toml").write_text(RECIPE)
    status, out, err = run("reconcile", "--aws", "--recipe", "r.toml", "--dry-run")
    assert (status, err) == (0, "")
    assert out.splitlines() == [
        "missing: bad.jpg",
        "missing: photos/cat.jpg",
        "2 found, nothing done (--dry-run)",
    ]
    assert processed.bodies() == {}
    status, _, err = run("reconcile", "--aws", "--recipe", "r.toml")
    assert status == 1
    assert err.startswith("refused: bad.jpg (not-an-image)")
    made = {key for key in processed.bodies() if key.endswith(".webp")}
    assert made == {f"photos/cat.jpg/w={width},fm=webp.webp" for width in (8, 16)}
    assert run("reconcile", "--aws", "--recipe", "r.toml") == (0, "0 found\n", "")


def test_reconcile_on_aws_needs_both_buckets(run):
    status, _, err = run("reconcile", "--aws")
    assert status == 2
    assert "expected a bucket's name for IMAGE_PROCESSOR_UPLOAD_BUCKET, got nothing" in err


def test_list_shows_the_originals(library):
    status, out, _ = library("list", "--data", "data")
    assert status == 0
    assert "photos/cat.jpg" in out
    assert "refused: not-an-image" in out
    _, out, _ = library("list", "--data", "data", "--status", "processed", "--json")
    assert [json.loads(line)["original"] for line in out.splitlines()] == ["photos/cat.jpg"]
    _, out, _ = library("list", "--data", "data", "--prefix", "none")
    assert out == "No originals.\n"


def test_show_tells_everything_of_one_original_by_key_or_id(library):
    status, out, _ = library("show", "photos/cat.jpg", "--data", "data")
    assert status == 0
    assert "40 x 30 jpeg" in out
    assert "photos/cat.jpg/w=16,fm=webp.webp" in out
    record = json.loads(library("show", "photos/cat.jpg", "--data", "data", "--json")[1])
    assert (record["status"], len(record["renditions"])) == ("processed", 2)
    assert (record["original"], record["facts"]["width"]) == ("photos/cat.jpg", 40)
    assert record["created_at"].endswith("Z")
    assert library("show", record["id"], "--data", "data")[1] == out
    assert "refused: not-an-image" in library("show", "bad.jpg", "--data", "data")[1]


def test_show_of_an_unknown_original_is_an_error(library):
    status, _, err = library("show", "nobody.jpg", "--data", "data")
    assert (status, err) == (2, "error: expected the key or id of an original for KEY, got 'nobody.jpg'\n")


@pytest.mark.parametrize("command", [["list"], ["show", "cat.jpg"], ["reconcile", "--dry-run"]])
def test_looking_at_a_library_that_is_not_there_makes_none(run, command):
    status, _, err = run(*command, "--data", "nowhere")
    assert status == 2
    assert "expected a data directory that exists for --data, got 'nowhere'" in err
    assert not Path("nowhere").exists()


def test_doctor_tells_versions_codecs_and_settings(run, monkeypatch):
    monkeypatch.setenv("IMAGE_PROCESSOR_MAX_BYTES", "7")
    status, out, _ = run("doctor")
    assert status == 0
    assert "libvips: 8." in out
    lines = [line.split() for line in out.splitlines()]
    assert ["avif", "yes", "yes"] in lines
    assert ["tiff", "yes", "-"] in lines
    assert ["IMAGE_PROCESSOR_MAX_BYTES=7"] in lines
    assert ["IMAGE_PROCESSOR_HOST=127.0.0.1"] in lines


def test_doctor_names_a_wrong_setting(run, monkeypatch):
    monkeypatch.setenv("IMAGE_PROCESSOR_MAX_BYTE", "7")
    status, _, err = run("doctor")
    assert status == 2
    assert "expected a setting that exists for IMAGE_PROCESSOR_MAX_BYTE" in err


def test_doctor_says_what_is_missing_and_how_to_get_it(run, monkeypatch):
    monkeypatch.setattr(runtime, "loaders", lambda: {"jpeg": True, "avif": False})
    status, out, _ = run("doctor")
    assert status == 0
    assert "missing: avif; the wheel pyvips-binary brings all of them" in out


def test_doctor_ends_with_4_where_the_runtime_is_not_safe(run, monkeypatch):
    def unsafe():
        raise UnsafeRuntime("expected libvips 8.13 or newer, got none")

    monkeypatch.setattr(runtime, "start", unsafe)
    status, out, _ = run("doctor")
    assert status == 4
    assert "unsafe runtime: expected libvips 8.13 or newer, got none" in out
    assert "fix: pip install" in out


@pytest.mark.parametrize("command", [["process", "cat.jpg", "--out", "out"], ["serve", "--port", "0"]])
def test_nothing_starts_on_an_unsafe_runtime(run, monkeypatch, command):
    draw("cat.jpg")
    monkeypatch.setattr(IsolatedRenderer, "_program", UNSAFE_CHILD)
    status, out, err = run(*command)
    assert (status, err) == (4, "error: no safe libvips here\n")
    assert "Drop images" not in out


def test_a_missing_library_is_told_with_its_cure(monkeypatch, capfd):
    monkeypatch.setitem(sys.modules, "image_processor.cli.commands", None)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 4
    assert "fix: pip install 'image-processor[server,aws]'" in capfd.readouterr().err


def test_a_wrong_setting_stops_every_command_that_needs_it(run, monkeypatch):
    monkeypatch.setenv("IMAGE_PROCESSOR_PORT", "x")
    status, _, err = run("list")
    assert (status, err) == (2, "error: expected 0-65535 for IMAGE_PROCESSOR_PORT, got 'x'\n")


def test_the_version_is_printed(run):
    assert run("--version") == (0, f"{__version__}\n", "")


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (48_123, "48.1 kB"),
        (999_900, "1 MB"),
        (2_400_000, "2.4 MB"),
    ],
)
def test_bytes_are_shown_in_units(count, text):
    assert in_units(count) == text


MARKUP = "photo [draft] [/bold].jpg"


def test_keys_that_look_like_markup_are_shown_as_they_are(run):
    draw(f"data/uploads/{MARKUP}")
    Path("r.toml").write_text(RECIPE)
    assert run("reconcile", "--data", "data", "--recipe", "r.toml")[0] == 0
    assert MARKUP in run("list", "--data", "data")[1]
    assert MARKUP in run("show", MARKUP, "--data", "data")[1]
    status, out, _ = run("process", "data/uploads", "--out", "out[x]", "--recipe", "r.toml")
    assert status == 0
    assert MARKUP in out
    assert "renditions are in out[x]" in out


def test_process_sums_up_what_was_saved(run):
    before = len(draw("cat.jpg", size=(400, 300)))
    Path("r.toml").write_text(RECIPE)
    _, out, _ = run("process", "cat.jpg", "--out", "out", "--recipe", "r.toml")
    after = Path("out/cat.jpg/w=16,fm=webp.webp").stat().st_size
    row = next(line.split() for line in out.splitlines() if line.strip().startswith("cat.jpg"))
    assert row[-2:] == [f"{100 - 100 * after / before:.0f}", "%"]
    assert row[1:3] == in_units(before).split()


def busy(*_):
    raise ClaimBusy("another worker holds the claim")


def test_work_that_cannot_be_done_now_ends_with_3(run, monkeypatch):
    draw("data/uploads/cat.jpg")
    monkeypatch.setattr(Processor, "process", busy)
    monkeypatch.setattr(workers, "MAX_ATTEMPTS", 1)
    status, out, err = run("process", "data/uploads", "--out", "out")
    assert (status, "1 failed" in out) == (3, True)
    assert "failed: cat.jpg: another worker holds the claim" in err
    status, _, err = run("reconcile", "--data", "data")
    assert (status, err) == (3, "not done: another worker holds the claim\n")


def test_a_progress_bar_is_shown_to_who_can_see_it(monkeypatch, tmp_path):
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


def test_process_names_what_a_directory_holds_that_is_no_file(run):
    draw("in/cat.jpg")
    os.mkfifo("in/pipe.jpg")
    Path("in/dangling.jpg").symlink_to("nowhere")
    Path(os.fsdecode(b"in/bad\xff.jpg")).touch()
    Path("r.toml").write_text(RECIPE)
    status, out, err = run("process", "in", "--out", "out", "--recipe", "r.toml")
    assert (status, "1 processed" in out) == (0, True)
    left_out = {line.split(": ")[1] for line in err.splitlines() if line.startswith("left out: ")}
    assert left_out == {"pipe.jpg", "dangling.jpg", "bad\\udcff.jpg"}


def test_a_link_that_is_named_keeps_its_name_and_may_not_lead_away(run):
    draw("here/real.jpg")
    Path("here/near.jpg").symlink_to("real.jpg")
    Path("here/far.jpg").symlink_to("/etc/hostname")
    Path("r.toml").write_text(RECIPE)
    status, _, err = run("process", "here/near.jpg", "here/far.jpg", "--out", "out", "--recipe", "r.toml")
    assert status == 1
    assert err.startswith("refused: far.jpg (outside-root)")
    assert Path("out/near.jpg/w=8,fm=webp.webp").exists()


def test_what_is_saved_is_reckoned_from_the_bytes_behind_a_link(run):
    draw("in/cat.jpg", size=(400, 300))
    Path("in/link.jpg").symlink_to("cat.jpg")
    Path("r.toml").write_text(RECIPE)
    _, out, _ = run("process", "in", "--out", "out", "--recipe", "r.toml")
    saved = {line.split()[0]: line.split()[-2:] for line in out.splitlines() if ".jpg" in line}
    assert saved["cat.jpg"] == saved["link.jpg"]


def test_output_that_nobody_can_take_is_told_and_ends_with_3():
    command = [sys.executable, "-m", "image_processor", "recipe", "show"]
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 3
    assert ended.stderr.startswith("error: ")
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("cat 1.jpg", "cat 1.jpg"),
        ("\x1b[31m", "\\x1b[31m"),
        ("a\nb", "a\\nb"),
        ("\u202egpj", "\\u202egpj"),
        ("ключ😀", "ключ😀"),
    ],
)
def test_a_key_cannot_steer_the_terminal(key, shown):
    assert printable(key) == shown
