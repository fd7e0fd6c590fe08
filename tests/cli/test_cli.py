"""The command line as a user sees it: recipes, doctor, errors, exit statuses."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from pictures_for_cli import RECIPE, draw

from image_processor import __version__
from image_processor.__main__ import main
from image_processor.cli.output import exit_status, format_bytes, printable
from image_processor.config.recipe import DEFAULT_RECIPE
from image_processor.domain.errors import LeaseBusy, MissingExtra, UnsafeRuntime
from image_processor.engine import runtime
from image_processor.engine.operations import faces
from image_processor.engine.worker.isolation import IsolatedRenderer
from image_processor.ingest.process import Processor
from image_processor.standalone import workers

UNSAFE_CHILD = """
from image_processor.engine.worker import child
from image_processor.domain.errors import UnsafeRuntime
def unsafe():
    raise UnsafeRuntime("no safe libvips here")
child.runtime.start = unsafe
child.main()
"""


def test_recipe_check_lists_presets_and_rules(run):
    Path("r.toml").write_text(RECIPE)
    status, out, err = run("recipe", "check", "r.toml")
    assert (status, err) == (0, "")
    assert "w=8,fm=webp" in out
    assert "rule ** -> p" in out


def test_recipe_check_tells_what_is_made_at_the_first_view(run):
    Path("r.toml").write_text(RECIPE.replace("[presets.p]", "[presets.p]\npublic = false\neager = false"))
    status, out, _ = run("recipe", "check", "r.toml")
    assert (status, out.splitlines()[0].partition("renditions")[2]) == (
        0,
        ", which need a signature, made at their first view",
    )


def test_recipe_check_lists_every_error_with_its_line(run):
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


def test_doctor_prints_versions_codecs_and_settings(run, monkeypatch):
    monkeypatch.setenv("IMAGE_PROCESSOR_MAX_BYTES", "7")
    status, out, _ = run("doctor")
    assert status == 0
    assert "libvips: 8." in out
    lines = [line.split() for line in out.splitlines()]
    assert ["avif", "yes", "yes"] in lines
    assert ["heic", "yes", "-"] in lines
    assert ["svg", "off", "-"] in lines
    assert "to read svg: IMAGE_PROCESSOR_SVG=1" in out
    assert ["IMAGE_PROCESSOR_SVG=0"] in lines
    assert ["IMAGE_PROCESSOR_TRUNCATED=strict"] in lines
    assert ["IMAGE_PROCESSOR_MAX_BYTES=7", "[environment]"] in lines
    assert ["IMAGE_PROCESSOR_HOST=127.0.0.1"] in lines


def test_doctor_says_that_svg_is_read_where_it_is_on(run, monkeypatch):
    monkeypatch.setenv("IMAGE_PROCESSOR_SVG", "1")
    out = run("doctor")[1]
    assert ["svg", "yes", "-"] in [line.split() for line in out.splitlines()]
    assert "to read svg" not in out
    assert json.loads(run("doctor", "--json")[1])["formats"]["svg"]["reads"] is True


WITHOUT_LANDLOCK = """
from image_processor.engine.worker import child, sandbox
sandbox.enter = lambda: ("files are open: no Landlock",)
child.main()
"""


def test_doctor_says_where_settings_come_from(run, monkeypatch):
    monkeypatch.setenv("IMAGE_PROCESSOR_PORT", "9000")
    Path("image-processor.toml").write_text("workers = 3\nport = 1\n")
    status, out, _ = run("doctor", "--data", "elsewhere")
    assert status == 0
    assert "  IMAGE_PROCESSOR_WORKERS=3  [file]\n" in out
    assert "  IMAGE_PROCESSOR_PORT=9000  [environment]\n" in out
    assert "  IMAGE_PROCESSOR_DATA=elsewhere  [command line]\n" in out
    assert "  IMAGE_PROCESSOR_STOP_SECONDS=15\n" in out


def test_doctor_says_whether_remote_sources_may_be_fetched_from(run, monkeypatch):
    sources = (
        "a/=http://127.0.0.1:1/,b/=https://[2606:4700::1111]/x/,c/=s3://archive/,d/=http://none.invalid/"
    )
    monkeypatch.setenv("IMAGE_PROCESSOR_REMOTE_SOURCES", sources)
    status, out, err = run("doctor")
    assert (status, err) == (0, "")
    refused = (
        "refused: 127.0.0.1 is not public (loopback); IMAGE_PROCESSOR_REMOTE_PRIVATE=127.0.0.1 would allow"
    )
    assert f"remote source a/=http://127.0.0.1:1/: {refused} internal addresses\n" in out
    assert "remote source b/=https://[2606:4700::1111]/x/: 2606:4700::1111\n" in out
    assert "remote source c/=s3://archive/: a bucket\n" in out
    assert "remote source d/=http://none.invalid/: cannot be resolved: " in out
    monkeypatch.setenv("IMAGE_PROCESSOR_REMOTE_PRIVATE", "127.0.0.1")
    assert json.loads(run("doctor", "--json")[1])["remote_sources"]["a/=http://127.0.0.1:1/"] == "127.0.0.1"


def test_doctor_reports_as_json(run):
    Path("other.toml").write_text('workers = 3\nsigning_keys = "a:a-secret-of-the-server"\n')
    status, out, _ = run("doctor", "--json", "--config", "other.toml")
    report = json.loads(out)
    assert status == 0
    assert report["version"] == __version__
    assert report["formats"]["jpeg"] == {"reads": True, "writes": True, "extra": None}
    assert report["formats"]["svg"]["reads"] is False
    assert report["catalog"]["damage"] is None
    settings = {item["name"]: (item["value"], item["source"]) for item in report["settings"]}
    assert settings["IMAGE_PROCESSOR_WORKERS"] == ("3", "file")
    assert settings["IMAGE_PROCESSOR_SIGNING_KEYS"] == ("(set)", "file")
    assert settings["IMAGE_PROCESSOR_CONFIG"] == ("other.toml", "command line")
    assert "a-secret" not in out


def test_an_invalid_file_of_settings_is_named_with_its_line(run):
    Path("image-processor.toml").write_text("wokers = 3\n")
    status, _, err = run("doctor")
    assert status == 2
    assert "line 1: expected a setting that exists, such as workers" in err


@pytest.mark.parametrize(
    ("gaps", "told"), [((), "on"), (("files are open: no Landlock",), "files are open: no Landlock")]
)
def test_doctor_says_whether_renderers_are_sandboxed(run, monkeypatch, gaps, told):
    monkeypatch.setattr(IsolatedRenderer, "sandbox_gaps", gaps)
    status, out, _ = run("doctor")
    assert status == 0
    assert f"sandbox of renderers: {told}\n" in out


def test_doctor_says_that_the_sandbox_is_off(run, monkeypatch):
    monkeypatch.setenv("IMAGE_PROCESSOR_SANDBOX", "off")
    assert "sandbox of renderers: off, as configured\n" in run("doctor")[1]


def test_doctor_ends_with_4_if_a_required_sandbox_is_incomplete(run, monkeypatch):
    monkeypatch.setattr(IsolatedRenderer, "_program", WITHOUT_LANDLOCK)
    monkeypatch.setenv("IMAGE_PROCESSOR_SANDBOX", "required")
    status, _, err = run("doctor")
    assert status == 4
    assert "expected renderers in a sandbox, which is required, but files are open: no Landlock" in err


def test_doctor_names_the_extra_that_reads_a_format(run, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "pillow_heif" else name)
    status, out, _ = run("doctor")
    assert status == 0
    assert ["heic", "-", "-"] in [line.split() for line in out.splitlines()]
    assert "for heic: pip install 'image-processor[heic]'" in out
    assert "missing:" not in out


@pytest.mark.parametrize("there", [True, False])
def test_doctor_reports_face_detection(run, monkeypatch, there):
    monkeypatch.setattr(faces, "available", lambda: there)
    status, out, _ = run("doctor")
    assert status == 0
    assert f"gravity faces: {'yes' if there else '-'}\n" in out
    assert ("to crop by faces: pip install 'image-processor[faces]'" in out) is not there


def test_doctor_names_an_unknown_setting(run, monkeypatch):
    monkeypatch.setenv("IMAGE_PROCESSOR_MAX_BYTE", "7")
    status, _, err = run("doctor")
    assert status == 2
    assert "expected a setting that exists, such as IMAGE_PROCESSOR_MAX_BYTES" in err


def test_doctor_reports_missing_codecs(run, monkeypatch):
    monkeypatch.setattr(runtime, "loaders", lambda: {"jpeg": True, "avif": False})
    status, out, _ = run("doctor")
    assert status == 0
    assert "missing: avif; the wheel pyvips-binary has all of them" in out


def test_doctor_exits_with_4_on_an_unsafe_runtime(run, monkeypatch):
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


def test_a_missing_extra_has_the_exit_status_of_a_missing_library():
    assert exit_status(MissingExtra("expected a package, got none")) == 4


def test_a_missing_library_is_reported_with_a_fix(monkeypatch, capfd):
    monkeypatch.setitem(sys.modules, "image_processor.cli.commands", None)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 4
    assert "fix: pip install 'image-processor[server,aws]'" in capfd.readouterr().err


def test_without_the_extra_of_the_command_line_the_fix_is_printed():
    program = "import sys; sys.modules['typer'] = None; from image_processor.__main__ import main; main()"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == 4
    assert ended.stderr.splitlines()[1].startswith("fix: pip install ")


def test_an_invalid_setting_fails_the_command(run, monkeypatch):
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
def test_bytes_are_formatted_in_units(count, text):
    assert format_bytes(count) == text


def busy(*_):
    raise LeaseBusy("another worker holds the lease")


def test_work_that_cannot_be_done_now_exits_with_3(run, monkeypatch):
    draw("data/uploads/cat.jpg")
    monkeypatch.setattr(Processor, "process", busy)
    monkeypatch.setattr(workers, "MAX_ATTEMPTS", 1)
    status, out, err = run("process", "data/uploads", "--out", "out")
    assert (status, "1 failed" in out) == (3, True)
    assert "failed: cat.jpg: another worker holds the lease" in err
    status, _, err = run("reconcile", "--data", "data")
    assert (status, err) == (3, "not done: another worker holds the lease\n")


def test_unwritable_output_is_reported_and_exits_with_3():
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
def test_a_key_cannot_control_the_terminal(key, shown):
    assert printable(key) == shown


def test_a_command_does_not_import_the_others():
    program = (
        "import sys\n"
        "from image_processor.__main__ import main\n"
        "try:\n    main()\n"
        "finally:\n    print(*sys.modules, file=sys.stderr)"
    )
    version = subprocess.run([sys.executable, "-c", program, "--version"], check=True, capture_output=True)
    assert version.stdout.split() == [__version__.encode()]
    modules = version.stderr.decode().split()
    assert "image_processor.cli.commands" in modules
    assert not {"rich", "image_processor.config.recipe", "image_processor.cli.transform"} & set(modules)


def test_help_lists_every_command_with_its_summary(run):
    status, out, _ = run("--help")
    assert status == 0
    summaries = dict(line.strip("│ ").split(maxsplit=1) for line in out.splitlines() if line.startswith("│ "))
    assert summaries["transform"] == "Render one file with one transformation."
    assert summaries["recipe"] == "Check a recipe, or show the built-in one."
    assert list(summaries)[-1] == "completion"


def test_an_unknown_command_is_answered_with_the_nearest_one(run):
    status, _, err = run("recip")
    assert status == 2
    assert "Did you mean 'recipe'?" in err
