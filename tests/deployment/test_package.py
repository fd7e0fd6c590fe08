"""The Lambda packages: complete, for the requested processor, compiled, small and reproducible."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import build
import interpreter
import pillow_heif
import pytest
from PIL import Image

from image_processor.config.recipe import DEFAULT_RECIPE

# The machine field of an ELF header ("ELF-64 Object File Format", e_machine).
MACHINES = {"x86_64": 0x3E, "arm64": 0xB7}

ARCHITECTURES = {"process": "x86_64", "api": "x86_64", "deliver": "arm64"}


@pytest.fixture(scope="module")
def python() -> str:
    try:
        return interpreter.find()
    except interpreter.NoInterpreter as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the source to build from, because an editor may change the real one meanwhile."""
    folder = tmp_path_factory.mktemp("source")
    shutil.copytree(build.SOURCE, folder, dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "SOURCE", folder)
        patch.setattr(build, "COMPRESSION", 1)  # a third of the time
        yield folder


@pytest.fixture(scope="module")
def packages(
    python: str, source: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Path]]:
    """The zip of each function's package, beside the folder that it was built in."""
    assert python
    assert source == build.SOURCE
    folder = tmp_path_factory.mktemp("packages")
    for function, arch in ARCHITECTURES.items():
        target = ["--into", str(folder / function), "--zip", str(folder / f"{function}.zip")]
        assert build.main([function, "--arch", arch, *target]) == 0
    yield {function: folder / f"{function}.zip" for function in ARCHITECTURES}
    shutil.rmtree(folder)


def run_isolated(python: str, package: Path, code: str) -> str:
    """The output of ``code`` with only the unzipped package and the standard library."""
    folder = package.with_name(f"{package.stem}-unzipped")
    if not folder.exists():
        with zipfile.ZipFile(package) as archive:
            archive.extractall(folder)
    done = subprocess.run(
        [python, "-I", "-S", "-B", "-c", f"import sys; sys.path.insert(0, {str(folder)!r})\n{code}"],
        env={"AWS_REGION": "eu-central-1"},
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def names_in(package: Path) -> list[str]:
    with zipfile.ZipFile(package) as archive:
        return archive.namelist()


def top_folders(package: Path) -> set[str]:
    return {name.partition("/")[0] for name in names_in(package)}


def elf_headers(package: Path) -> dict[str, bytes]:
    """The first bytes of every shared library."""
    with zipfile.ZipFile(package) as archive:
        return {name: archive.read(name)[:20] for name in archive.namelist() if ".so" in Path(name).name}


def machines_of(headers: dict[str, bytes]) -> set[int]:
    return {int.from_bytes(header[18:20], "little") for header in headers.values()}


# The longer form also builds for arm64.
@pytest.fixture(scope="module", params=["x86_64", "arm64"] if os.environ.get("STRESS") else ["x86_64"])
def heic_package(
    python: str, source: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[tuple[str, Path]]:
    """The processor, and the zip of its process function built --with heic."""
    assert python
    assert source == build.SOURCE
    folder = tmp_path_factory.mktemp("heic")
    target = ["--into", str(folder / "tree"), "--zip", str(folder / "package.zip")]
    assert build.main(["process", "--arch", request.param, "--with", "heic", *target]) == 0
    yield request.param, folder / "package.zip"
    shutil.rmtree(folder)


@pytest.mark.parametrize("function", ["process", "api"])
def test_the_handler_is_importable_from_the_zip_alone(
    python: str, packages: dict[str, Path], function: str
) -> None:
    load = "from image_processor.aws_lambda import api_function" if function == "api" else ""
    code = f"from image_processor.aws_lambda import {function}\n{load}\nprint({function}.__module__)"
    assert run_isolated(python, packages[function], code) == "image_processor.aws_lambda\n"


def test_the_zip_alone_renders_an_image(python: str, packages: dict[str, Path]) -> None:
    code = (
        "from image_processor.engine import render, sample\n"
        "from image_processor.domain.models import Limits\n"
        "from image_processor.domain.transformation import Transformation\n"
        "made = render.render(sample.draw_sample(), [Transformation(width=64, format='avif')], Limits())\n"
        "print(len(made.renditions))"
    )
    assert run_isolated(python, packages["process"], code) == "1\n"


def test_every_module_is_compiled_without_a_time_or_a_path_of_this_machine(
    packages: dict[str, Path],
) -> None:
    with zipfile.ZipFile(packages["process"]) as archive:
        names = set(archive.namelist())
        sources = {name for name in names if name.endswith(".py")}
        compiled = {name for name in names if name.endswith(".pyc")}
        assert len(sources) > 100
        assert {
            pyc.replace("__pycache__/", "").replace(".cpython-313.pyc", ".py") for pyc in compiled
        } == sources
        for name in compiled:
            code = archive.read(name)
            assert int.from_bytes(code[4:8], "little") == 0b01, "PEP 552: by hash, unchecked"
            assert os.fsencode(build.ROOT) not in code
            assert b"/var/task" in code


def test_files_that_no_function_reads_are_left_out(packages: dict[str, Path]) -> None:
    for package in packages.values():
        names = names_in(package)
        assert not [
            name for name in names if "/tests/" in name or name.startswith("bin/") or name.endswith(".pyi")
        ]
        assert not [name for name in names if name.endswith(("/RECORD", "/INSTALLER", "direct_url.json"))]
        assert "image_processor/aws_lambda/__init__.py" in names


@pytest.mark.parametrize(("function", "arch"), ARCHITECTURES.items())
def test_every_library_is_for_the_requested_processor(
    packages: dict[str, Path], function: str, arch: str
) -> None:
    headers = elf_headers(packages[function])
    assert machines_of(headers) == {MACHINES[arch]}
    assert {"_libvips.abi3.so"} < headers.keys()
    assert any(name.startswith("msgspec/_core.") for name in headers)


# Modules that only some events need: each would add to every cold start.
_LAZY = ("email", "http.client", "inspect", "ssl")


@pytest.mark.parametrize("table", ["", "records"])
def test_the_process_function_starts_without_modules_that_only_some_events_need(
    python: str, packages: dict[str, Path], table: str
) -> None:
    settings = {
        "IMAGE_PROCESSOR_UPLOAD_BUCKET": "uploads",
        "IMAGE_PROCESSOR_PROCESSED_BUCKET": "processed",
        **({"IMAGE_PROCESSOR_TABLE": table} if table else {}),
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_SESSION_TOKEN": "token",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    }
    code = (
        "import os, sys\n"
        f"os.environ |= {settings}\n"
        "from image_processor import aws_lambda\n"
        "aws_lambda._process()\n"
        "aws_lambda._load_engine()\n"
        f"print(sorted(set({_LAZY}) & set(sys.modules)), 'pyvips' in sys.modules)"
    )
    assert run_isolated(python, packages["process"], code) == "[] True\n"


def test_equal_sources_give_an_equal_zip(
    packages: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "CACHE", tmp_path / "cache")  # builds everything anew, at another path
    target = ["--into", str(tmp_path / "elsewhere"), "--zip", str(tmp_path / "again.zip")]
    assert build.main(["process", "--arch", "x86_64", *target]) == 0
    assert (tmp_path / "again.zip").read_bytes() == packages["process"].read_bytes()


def test_only_the_api_has_a_web_framework(packages: dict[str, Path]) -> None:
    for function, package in packages.items():
        tops = top_folders(package)
        assert ({"fastapi", "pydantic", "mangum"} <= tops) == (function == "api")
        assert not {"boto3", "botocore", "typer", "uvicorn"} & tops


def test_a_package_built_with_heic_has_its_decoder(
    heic_package: tuple[str, Path], packages: dict[str, Path]
) -> None:
    arch, package = heic_package
    without = top_folders(packages["process"])
    assert top_folders(package) >= {"pillow_heif", "PIL", *(top for top in without if ".cpython-" not in top)}
    assert not {"pillow_heif", "PIL", "pillow_jxl"} & without
    headers = elf_headers(package)
    assert machines_of(headers) == {MACHINES[arch]}
    assert any(name.startswith("pillow_heif.libs/libde265") for name in headers)
    assert package.stat().st_size < 50_000_000, "Lambda's limit for a direct upload"


@pytest.mark.parametrize("heic_package", ["x86_64"], indirect=True)
def test_that_zip_alone_renders_a_photo_from_a_phone(
    python: str, heic_package: tuple[str, Path], tmp_path: Path
) -> None:
    _, package = heic_package
    photo = tmp_path / "photo.heic"
    pillow_heif.from_pillow(Image.new("RGB", (128, 64), "orange")).save(photo, quality=80)
    code = (
        "from pathlib import Path\n"
        "from image_processor.engine import render\n"
        "from image_processor.domain.models import Limits\n"
        "from image_processor.domain.transformation import Transformation\n"
        f"data = Path({str(photo)!r}).read_bytes()\n"
        "made = render.render(data, [Transformation(width=64, format='jpeg')], Limits())\n"
        "print(made.original.format, len(made.renditions))"
    )
    assert run_isolated(python, package, code) == "heic 1\n"


def test_an_unknown_extra_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WITH", "heic bmp")
    assert build.main(["process", "--into", str(tmp_path / "tree")]) == 1
    assert capsys.readouterr().err == "expected heic | jxl for --with, got bmp\n"


def test_the_size_is_printed_and_limited(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "big.so").write_bytes(bytes(3 * build.MIB))
    build.check_size(tmp_path, 3)
    assert capsys.readouterr().out == "package: 3.0 MiB unzipped of at most 3 (library 3.0)\n"
    with pytest.raises(build.BuildError, match=r"expected at most 2 MiB for the package, got 3.0"):
        build.check_size(tmp_path, 2)


@pytest.mark.usefixtures("python")
def test_a_valid_recipe_is_added(tmp_path: Path) -> None:
    toolchain = build._toolchain()
    recipe = tmp_path / "ours.toml"
    recipe.write_text(DEFAULT_RECIPE)
    build.add_recipe(toolchain, recipe, tmp_path)
    assert (tmp_path / "recipe.toml").read_text() == DEFAULT_RECIPE
    recipe.write_text("[presets.small]\nwidth = 0\n")
    with pytest.raises(build.BuildError, match=r"ours.toml: .*expected .* for presets.small.width, got 0"):
        build.add_recipe(toolchain, recipe, tmp_path)


def test_a_named_interpreter_of_another_version_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "old-python"
    old.write_text("#!/bin/sh\necho 3.9\n")
    old.chmod(0o755)
    monkeypatch.setenv(interpreter.VARIABLE, str(old))
    with pytest.raises(
        interpreter.NoInterpreter, match=r"expected Python 3.13, .* or name it in LAMBDA_PYTHON"
    ):
        interpreter.find()


def test_an_interpreter_off_the_path_is_found_in_pyenv(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "3.13.7"
    (home / "bin").mkdir(parents=True)
    stubs = {
        tmp_path / "python3.13": "exit 127",  # pyenv's shim for a version that is not enabled
        tmp_path / "pyenv": f'[ "$1" = versions ] && printf "3.12.1\\n3.13.7\\n" || echo {home}',
        home / "bin" / "python": "echo 3.13",
    }
    for file, code in stubs.items():
        file.write_text(f"#!/bin/sh\n{code}\n")
        file.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(interpreter.VARIABLE, raising=False)
    monkeypatch.setattr(interpreter.sys, "executable", "/no/such/python")
    assert interpreter.find() == str(home / "bin" / "python")


@pytest.mark.parametrize("extra", ["heic", "jxl"])
def test_the_hostile_suite_runs_with_the_decoders_of_the_package(extra: str) -> None:
    """tests/hostile decodes with what requirements/dev.txt pins."""
    requirements = Path(__file__).parents[2] / "requirements"
    tested, packaged = (
        dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (requirements / name).read_text(), re.MULTILINE))
        for name in ("dev.txt", f"lambda-{extra}.txt")
    )
    decoders = {"heic": "pillow-heif", "jxl": "pillow-jxl-plugin"}
    for name in (decoders[extra], "pillow", "pyvips-binary"):
        assert packaged[name] == tested[name]
