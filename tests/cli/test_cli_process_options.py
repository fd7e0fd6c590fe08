"""`process`: names of files, what is left out, and what is printed."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pictures_for_cli import RECIPE, draw
from PIL import Image

from image_processor.cli.process_files import Call, read_process_call
from support.waiting import wait_for

CALL = ("--out", "out", "--recipe", "r.toml")


@pytest.fixture
def process(run):
    """Run `process` with a recipe of two widths in WebP."""

    def call(*arguments):
        Path("r.toml").write_text(RECIPE)
        return run("process", *arguments, *CALL)

    return call


def files(root="out"):
    """The files below a directory, without what the store keeps for itself."""
    found = (path.relative_to(root) for path in Path(root).rglob("*") if path.is_file())
    return {str(path) for path in found if path.parts[0] != ".image-processor"}


def test_a_template_names_the_files_and_nothing_else_is_written(process):
    draw("in/deep/cat.jpg")
    draw("in/dog.png", format_="PNG")
    status, out, err = process("in", "--name", "{stem}-{width}x{height}.{ext}")
    assert (status, err) == (0, "")
    assert files() == {
        *("deep/cat-8x6.webp", "deep/cat-16x12.webp"),
        *("dog-8x6.webp", "dog-16x12.webp"),
    }
    assert [path.name for path in Path("out").iterdir() if path.name.startswith(".")] == []
    assert "2 processed" in out
    with Image.open("out/dog-16x12.webp") as picture:
        assert (picture.format, picture.size) == ("WEBP", (16, 12))


def test_a_template_may_have_the_transformation_and_folders(process):
    draw("cat.jpg")
    assert process("cat.jpg", "--name", "{format}/{stem},{options}.{ext}")[0] == 0
    assert files() == {"webp/cat,w=8,fm=webp.webp", "webp/cat,w=16,fm=webp.webp"}


def test_json_has_the_names_of_the_template(process):
    draw("cat.jpg")
    out = process("cat.jpg", "--name", "{stem}-{width}.{ext}", "--json")[1]
    assert [r["key"] for r in json.loads(out)["renditions"]] == ["cat-8.webp", "cat-16.webp"]


def test_a_name_that_two_renditions_would_have_is_an_error_before_any_work(process):
    draw("cat.jpg")
    for more in ((), ("--dry-run",)):
        status, out, err = process("cat.jpg", "--name", "{stem}.{ext}", *more)
        assert (status, out) == (2, "")
        assert "expected a name of its own for each rendition, as with {width} or {options} for --name" in err
        assert "'cat.webp' for 'cat.jpg/w=8,fm=webp.webp' and 'cat.jpg/w=16,fm=webp.webp'" in err
    assert not Path("out").exists()


def test_two_originals_with_one_name_are_an_error_before_any_work(process):
    for name in ("in/cat.jpg", "in/cat.png"):
        draw(name)
    status, _, err = process("in", "--name", "{stem}-{options}.{ext}")
    assert status == 2
    assert "'cat-w=8,fm=webp.webp' for 'cat.jpg/w=8,fm=webp.webp' and 'cat.png/w=8,fm=webp.webp'" in err
    assert not Path("out").exists()


def test_an_original_that_is_smaller_than_both_widths_has_one_file(process):
    draw("small.jpg", size=(6, 4))
    name = ("--name", "{stem}-{width}x{height}.{ext}")
    assert process("small.jpg", *name, "--dry-run")[1] == "small.jpg -> small-6x4.webp\n"
    status, out, err = process("small.jpg", *name, "--json")
    assert (status, err) == (0, "")
    assert files() == {"small-6x4.webp"}
    assert [rendition["key"] for rendition in json.loads(out)["renditions"]] == ["small-6x4.webp"]
    assert json.loads(process("small.jpg", *name, "--json", "--skip-existing")[1])["status"] == "skipped"


def test_other_renditions_of_one_name_are_an_error_and_nothing_of_the_file_is_written(run):
    Path("two.toml").write_text(
        '[presets.a]\nwidth = 8\nformats = ["webp"]\n[presets.b]\nwidth = 8\nblur = 2\nformats = ["webp"]\n'
        '[[rules]]\nmatch = "**"\npresets = ["a", "b"]\n'
    )
    draw("cat.jpg")
    options = ("--name", "{stem}-{width}.{ext}", "--recipe", "two.toml", "--out", "out")
    status, _, err = run("process", "cat.jpg", *options)
    assert status == 2
    assert "'cat-8.webp' for 'cat.jpg/w=8,fm=webp.webp' and 'cat.jpg/w=8,blur=2,fm=webp.webp'" in err
    assert files() == set()


def test_json_says_which_files_are_left_out(process):
    draw("in/cat.jpg")
    assert process("in", "--json")[0] == 0
    draw("in/dog.jpg")
    skipped, processed = map(json.loads, process("in", "--json", "--skip-existing")[1].splitlines())
    assert (skipped["original"], skipped["status"]) == ("cat.jpg", "skipped")
    assert skipped["message"] == "its renditions exist and are not older than it"
    assert (processed["original"], processed["status"]) == ("dog.jpg", "processed")
    assert "2 skipped; renditions are in out" in process("in", "--skip-existing")[1]


def test_an_unknown_field_is_shown_as_written(process):
    draw("cat.jpg")
    status, _, err = process("cat.jpg", "--name", "{stm}.{ext}")
    assert status == 2
    assert "{options} for --name, got '{stm}.{ext}'" in err


@pytest.mark.parametrize("name", [(), ("--name", "{stem}-{width}.{ext}")], ids=["default", "template"])
def test_files_with_current_renditions_are_left_out_on_request(process, name):
    draw("in/cat.jpg")
    draw("in/[dog].jpg")
    assert process("in", *name)[0] == 0
    made = {file: (Path("out") / file).stat().st_ino for file in files()}
    _, out, _ = process("in", *name, "--skip-existing")
    assert "processed" not in out
    assert {file: (Path("out") / file).stat().st_ino for file in files()} == made
    later = max((Path("out") / file).stat().st_mtime for file in made) + 10
    os.utime("in/cat.jpg", (later, later))
    _, out, _ = process("in", *name, "--skip-existing")
    assert "1 processed" in out
    (Path("out") / next(file for file in files() if "dog" in file)).unlink()
    assert "2 processed" in process("in", *name, "--skip-existing")[1]


def test_a_dry_run_prints_names_and_writes_nothing(process):
    draw("in/cat.jpg")
    status, out, _ = process("in", "--dry-run")
    assert status == 0
    assert out == "".join(f"cat.jpg -> cat.jpg/w={width},fm=webp.webp\n" for width in (8, 16))
    named = process("in", "-n", "--name", "{stem}-{width}x{height}.{ext}")[1]
    assert named == "cat.jpg -> cat-8x6.webp\ncat.jpg -> cat-16x12.webp\n"
    Path("in/cat.jpg").write_bytes(b"no image")
    assert process("in", "-n", "--name", "{stem}-{width}.{ext}")[1] == "cat.jpg -> cat-{width}.webp\n" * 2
    assert not Path("out").exists()


def test_inputs_with_a_name_in_common_keep_their_folders(process):
    for name in ("a/x/cat.jpg", "b/x/cat.jpg", "b/x/dog.jpg", "c/bird.jpg"):
        draw(name)
    assert process("a/x", "b/x", "c", "c/bird.jpg")[0] == 0
    assert {str(Path(file).parent) for file in files()} == {
        *("a/x/cat.jpg", "b/x/cat.jpg", "b/x/dog.jpg"),
        "bird.jpg",
    }


def test_files_of_one_name_keep_their_folders(process):
    for name in ("a/cat.jpg", "a/in/cat.jpg"):
        draw(name)
    assert process("a/cat.jpg", "a/in/cat.jpg", "a/cat.jpg")[0] == 0
    assert {str(Path(file).parent) for file in files()} == {"a/cat.jpg", "in/cat.jpg"}


def test_quiet_prints_only_what_went_wrong(process):
    draw("in/cat.jpg")
    Path("in/text.jpg").write_text("hello")
    status, out, err = process("in", "--quiet")
    assert (status, out) == (1, "")
    assert err.startswith("refused: text.jpg (not-an-image): ")
    assert len(err.splitlines()) == 1


def test_verbose_prints_a_line_for_each_rendition(process):
    draw("cat.jpg")
    err = process("cat.jpg", "-v")[2]
    assert err == "".join(
        f"cat.jpg -> cat.jpg/w={width},fm=webp.webp: {width} x {height}\n"
        for width, height in ((8, 6), (16, 12))
    )


def test_what_is_added_while_it_watches_is_rendered_until_ctrl_c(tmp_path):
    draw(tmp_path / "in" / "cat.jpg")
    (tmp_path / "r.toml").write_text(RECIPE)
    command = [sys.executable, "-m", "image_processor", "process", "in", "--watch", *CALL]
    # A shell without job control has its background jobs ignore Ctrl-C, and so the tests started in one.
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no threads
    ) as child:
        with contextlib.ExitStack() as stack:
            stack.callback(child.kill)  # if a check fails
            assert b"watching; Ctrl-C ends it" in child.stderr.readline()
            draw(tmp_path / "in" / "later" / "dog.jpg")
            made = tmp_path / "out" / "later" / "dog.jpg" / "w=16,fm=webp.webp"
            wait_for(made.exists, "the new rendition")
            (tmp_path / "in" / "cat.jpg").unlink()
            wait_for(lambda: not list((tmp_path / "out").glob("cat.jpg/*.webp")), "the deletion")
            child.send_signal(signal.SIGINT)
            out, _ = child.communicate(timeout=60)
            stack.pop_all()
        assert child.returncode == 0
        assert b"1 processed" in out


def test_renditions_are_written_without_waiting_for_the_disk(process, monkeypatch):
    calls = []
    monkeypatch.setattr(os, "fsync", calls.append)
    draw("cat.jpg")
    assert process("cat.jpg")[0] == 0
    assert calls == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["a.jpg", "--out", "o"], Call(paths=(Path("a.jpg"),), out=Path("o"))),
        (
            ["-o", "o", "a", "--recipe", "r", "--workers", "2", "b", "-q"],
            Call(paths=(Path("a"), Path("b")), out=Path("o"), recipe=Path("r"), workers=2, quiet=True),
        ),
        (["a.jpg"], None),
        (["--out", "o"], None),
        (["a.jpg", "--out"], None),
        (["a.jpg", "--out", "o", "-o", "p"], None),
        (["a.jpg", "--out", ""], None),
        (["", "--out", "o"], None),
        (["a.jpg", "--out=o"], None),
        (["a.jpg", "--out", "o", "--workers", "two"], None),
        (["a.jpg", "--out", "o", "--workers", "-1"], None),
        (["a.jpg", "--out", "o", "--json"], None),
        (["a.jpg", "--out", "o", "--name", "{stem}.{ext}"], None),
        (["a.jpg", "--out", "o", "--help"], None),
        (["--", "a.jpg", "--out", "o"], None),
        ([], None),
    ],
)
def test_the_most_frequent_form_of_process_is_read_without_typer(arguments, expected):
    assert read_process_call(arguments) == expected


@pytest.mark.parametrize(("options", "without"), [([], {"typer", "pydantic"}), (["-q"], {"typer", "rich"})])
def test_photographs_are_processed_without_typer(tmp_path, options, without):
    draw(tmp_path / "cat.jpg")
    (tmp_path / "r.toml").write_text(RECIPE)
    program = (
        "import sys\n"
        "from image_processor.__main__ import main\n"
        "try:\n    main()\n"
        "finally:\n    print(*sys.modules, file=sys.stderr)"
    )
    command = [sys.executable, "-c", program, "process", "cat.jpg", *CALL, *options]
    ended = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    modules = ended.stderr.decode().split()
    assert "image_processor.cli.process_files" in modules
    assert not without & set(modules)


@pytest.mark.parametrize(
    "arguments",
    [
        ["cat.jpg"],
        ["cat.jpg", "--workers", "0"],
        ["missing.jpg"],
        ["cat.jpg", "--recipe", "missing.toml"],
        ["cat.jpg", "--recipe", "folder"],
        ["text.jpg"],
    ],
)
@pytest.mark.parametrize("out", ["out", "cat.jpg", "."])
def test_both_forms_of_process_do_and_say_the_same(run, arguments, out):
    draw("cat.jpg")
    Path("text.jpg").write_text("no image")
    Path("folder").mkdir()
    assert run("process", *arguments, "--out", out) == run("process", *arguments, f"--out={out}")
