"""`transform`: one rendition of one file."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
from pictures_for_cli import draw
from PIL import Image

from image_processor.bootstrap.commands import Commands
from image_processor.cli.transform_file import Call, read_call
from image_processor.domain.models import ImageMetadata, Rendered, RenderedImage, Timings
from image_processor.domain.transformation import parse


def test_a_file_is_transformed(run):
    draw("cat.jpg")
    status, out, err = run("transform", "cat.jpg", "fm=webp,w=20,rot=90", "--out", "made.webp")
    assert (status, out) == (0, "")
    assert err.startswith("rot=90,w=20,fm=webp: 20 x 27, ")
    with Image.open("made.webp") as picture:
        assert (picture.format, picture.size) == ("WEBP", (20, 27))


def test_a_rendition_goes_to_standard_output(tmp_path):
    draw(tmp_path / "cat.jpg")
    command = [sys.executable, "-m", "image_processor", "transform", "cat.jpg", "w=20,fm=png", "--out", "-"]
    ended = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    with Image.open(io.BytesIO(ended.stdout)) as picture:
        assert (picture.format, picture.size) == ("PNG", (20, 15))


@pytest.mark.parametrize(
    ("text", "out", "expected"),
    [
        ("w=20", "made.webp", "WEBP"),
        ("w=20", "made.PNG", "PNG"),
        ("w=20", "made.tif", "TIFF"),
        ("w=20", "made", "JPEG"),
        ("w=20,fm=png", "made.bin", "PNG"),
        ("fm=jpeg", "made.jpg", "JPEG"),
    ],
)
def test_the_name_of_the_output_tells_the_format(run, text, out, expected):
    draw("cat.jpg")
    status, _, err = run("transform", "cat.jpg", text, "--out", out)
    assert status == 0, err
    with Image.open(out) as picture:
        assert picture.format == expected


def test_a_name_of_another_format_is_an_error(run):
    draw("cat.jpg")
    status, _, err = run("transform", "cat.jpg", "w=20,fm=png", "--out", "made.webp")
    assert status == 2
    assert "expected a name that ends in .png for --out, got 'made.webp'" in err
    assert not Path("made.webp").exists()


@pytest.mark.parametrize("out", ["made.heic", "made.xyz"])
def test_an_extension_of_no_output_format_needs_fm(run, out):
    draw("cat.jpg")
    status, _, err = run("transform", "cat.jpg", "w=20", "--out", out)
    assert status == 2
    assert f".avifs, or fm in the transformation for --out, got '{out}'" in err
    assert not Path(out).exists()


def test_an_overlay_is_read_from_its_directory(run):
    draw("cat.jpg")
    Path("marks/logos").mkdir(parents=True)
    Image.new("RGB", (8, 8), "lime").save("marks/logos/mark.png")
    text = "over=image:logos~2fmark.png;g:northwest,fm=png"
    status, _, err = run("transform", "cat.jpg", text, "--out", "made.png", "--overlays", "marks")
    assert status == 0, err
    with Image.open("made.png") as picture:
        assert picture.getpixel((3, 3)) == (0, 255, 0)
        assert picture.getpixel((12, 12)) != (0, 255, 0)


@pytest.mark.parametrize(
    ("arguments", "status", "errors"),
    [
        (["cat.jpg", "w=0,q=250"], 2, ["from 1 to 16383 for w, got 0", "1-100, or auto for q, got 250"]),
        (["none.jpg", "w=9"], 2, ["expected a readable file for FILE, got 'none.jpg'"]),
        (["text.jpg", "w=9"], 1, ["error: not-an-image", "fix: Send a JPEG, PNG"]),
        (["cat.jpg", "over=image:none.png,fm=png"], 2, ["expected a readable file for --overlays"]),
        (["cat.jpg", "rect=90:0:5:5,fm=png"], 1, ["region-outside", "within 40 x 30 pixels, got 90:0:5:5"]),
    ],
)
def test_an_error_is_reported_and_nothing_is_written(run, arguments, status, errors):
    draw("cat.jpg")
    Path("text.jpg").write_text("hello")
    ended, _, err = run("transform", *arguments, "--out", "made.png")
    assert ended == status
    assert all(item in err for item in errors), err
    assert not Path("made.png").exists()


def test_a_truncated_file_is_reported_where_it_is_allowed(run, monkeypatch):
    whole = draw("cat.jpg", size=(200, 150))
    Path("cut.jpg").write_bytes(whole[: len(whole) // 2])
    assert run("transform", "cut.jpg", "w=9", "--out", "made.jpg")[0] == 1
    monkeypatch.setenv("IMAGE_PROCESSOR_TRUNCATED", "lenient")
    status, _, err = run("transform", "cut.jpg", "w=9", "--out", "made.jpg")
    assert status == 0
    assert "cut.jpg is truncated; the missing part was filled" in err


def test_an_animation_that_becomes_a_still_is_reported(run, monkeypatch):
    """As where the optional package that reads all frames is missing."""
    draw("moving.avif")
    original = ImageMetadata(8, 8, "avif", 1, False, 9, "", file_frames=3)
    image = RenderedImage(parse("w=4"), b"image", ImageMetadata(4, 4, "jpeg", 1, False, 5, ""))
    rendered = Rendered(original, None, (image,), (), Timings(0, 0, 0))
    monkeypatch.setattr(Commands, "open_renderer", lambda *_: nullcontext(lambda *_, **__: rendered))
    status, _, err = run("transform", "moving.avif", "w=4", "--out", "made.jpg")
    assert (status, Path("made.jpg").read_bytes()) == (0, b"image")
    assert "moving.avif has 3 frames, of which only a still can be read" in err


def test_an_original_that_is_sent_as_it_is_is_reported(run):
    Image.radial_gradient("L").save("cat.jpg", quality=10)
    err = run("transform", "cat.jpg", "q=95", "--out", "made.jpg")[2]
    assert err.rstrip().endswith("(keep_smaller: kept)")
    assert "keep_smaller" not in run("transform", "cat.jpg", "w=20", "--out", "made.jpg")[2]


def test_an_original_comes_from_standard_input(tmp_path):
    body = draw(tmp_path / "cat.jpg")
    command = [sys.executable, "-m", "image_processor", "transform", "-", "width=20,format=PNG", "-qo", "-"]
    ended = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, input=body)
    assert ended.stderr == b""
    with Image.open(io.BytesIO(ended.stdout)) as picture:
        assert (picture.format, picture.size) == ("PNG", (20, 15))


def test_standard_input_is_limited_like_a_file(tmp_path):
    command = [sys.executable, "-m", "image_processor", "transform", "-", "w=20", "-o", "small.jpg"]
    environment = {**os.environ, "IMAGE_PROCESSOR_MAX_BYTES": "100"}
    with Path("/dev/zero").open("rb") as endless:
        ended = subprocess.run(
            command, cwd=tmp_path, stdin=endless, capture_output=True, env=environment, check=False
        )
    assert ended.returncode == 1
    assert b"too-many-bytes" in ended.stderr
    assert not (tmp_path / "small.jpg").exists()


def test_a_long_name_of_the_format_counts_as_the_format(run):
    draw("cat.jpg")
    status, _, err = run("transform", "cat.jpg", "w=20,format=png", "--out", "made.webp")
    assert (status, "expected a name that ends in .png for --out" in err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["cat.jpg", "w=9", "-o", "x.png"], Call("cat.jpg", "w=9", "x.png")),
        (["--out", "-", "-q", "-", "w=9"], Call("-", "w=9", "-", quiet=True)),
        (["cat.jpg", "", "--quiet", "-o", "x.png"], Call("cat.jpg", "", "x.png", quiet=True)),
        (["cat.jpg", "w=9"], None),
        (["cat.jpg", "-o", "x.png"], None),
        (["cat.jpg", "w=9", "more", "-o", "x.png"], None),
        (["cat.jpg", "w=9", "-o"], None),
        (["cat.jpg", "w=9", "-o", "x.png", "-o", "y.png"], None),
        (["cat.jpg", "w=9", "-o", "--quiet"], None),
        (["cat.jpg", "w=9", "--out=x.png"], None),
        (["cat.jpg", "w=9", "-qo", "x.png"], None),
        (["cat.jpg", "w=9", "-o", "x.png", "--overlays", "."], None),
        (["--", "cat.jpg", "w=9", "-o", "x.png"], None),
        (["cat.jpg", "w=9", "-o", "x.png", "--help"], None),
        ([], None),
    ],
)
def test_the_most_frequent_form_is_read_without_typer(arguments, expected):
    assert read_call(arguments) == expected


def test_a_photograph_is_transformed_without_typer(tmp_path):
    draw(tmp_path / "cat.jpg")
    program = (
        "import sys\n"
        "from image_processor.__main__ import main\n"
        "try:\n    main()\n"
        "finally:\n    print(*sys.modules, file=sys.stderr)"
    )
    command = [sys.executable, "-c", program, "transform", "cat.jpg", "w=9", "-o", "small.jpg"]
    ended = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    modules = ended.stderr.decode().split()
    assert "image_processor.cli.transform_file" in modules
    assert not {"typer", "pydantic", "rich"} & set(modules)


@pytest.mark.parametrize(
    "arguments", [["w=9", "--out", "x.png"], ["w=0", "--out", "x.png"], ["w=9", "--out", "/"]]
)
def test_both_forms_do_and_say_the_same(run, arguments):
    draw("cat.jpg")
    text, _, out = arguments
    assert run("transform", "cat.jpg", *arguments) == run("transform", "cat.jpg", text, f"--out={out}")
