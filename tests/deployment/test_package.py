"""The packages: complete, for the processor asked for, compiled, bounded, and always the same."""

from __future__ import annotations

import json
import os
import re
import shutil
import ssl
import subprocess
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import build
import interpreter
import pillow_heif
import pytest
import roots
from PIL import Image

from image_processor.config.recipe import DEFAULT_RECIPE

# The machine field of an ELF header ("ELF-64 Object File Format", e_machine).
MACHINES = {"x86_64": 0x3E, "arm64": 0xB7}

PACKED = {"process": "x86_64", "api": "x86_64", "deliver": "arm64"}


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
    """A copy of the source to build from: somebody may be at work on the real one."""
    folder = tmp_path_factory.mktemp("source")
    shutil.copytree(build.SOURCE, folder, dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "SOURCE", folder)
        yield folder


@pytest.fixture(scope="module")
def packages(
    python: str, source: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Path]]:
    """A zip of each function's package, and the folder it was made in beside it."""
    assert python
    assert source == build.SOURCE
    folder = tmp_path_factory.mktemp("packages")
    for function, arch in PACKED.items():
        arguments = [
            function,
            "--arch",
            arch,
            "--into",
            folder / function,
            "--zip",
            folder / f"{function}.zip",
        ]
        assert build.main(list(map(str, arguments))) == 0
    yield {function: folder / f"{function}.zip" for function in PACKED}
    shutil.rmtree(folder)


def alone(python: str, package: Path, folder: Path, code: str) -> str:
    """What ``code`` prints where there is the unzipped package and the standard library."""
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


@pytest.fixture(scope="module", params=["x86_64", "arm64"])
def telephone_package(
    python: str, source: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[tuple[str, Path]]:
    """The processor, and a zip for it of the function that processes, made --with heic."""
    assert python
    assert source == build.SOURCE
    folder = tmp_path_factory.mktemp("telephone")
    place = ["--into", str(folder / "tree"), "--zip", str(folder / "package.zip")]
    assert build.main(["process", "--arch", request.param, "--with", "heic", *place]) == 0
    yield request.param, folder / "package.zip"
    shutil.rmtree(folder)


@pytest.mark.parametrize("function", ["process", "api"])
def test_the_handler_is_importable_from_the_zip_alone(
    python: str, packages: dict[str, Path], tmp_path: Path, function: str
) -> None:
    load = "from image_processor.aws_lambda import rest" if function == "api" else ""
    code = f"from image_processor.aws_lambda import {function}\n{load}\nprint({function}.__module__)"
    assert alone(python, packages[function], tmp_path, code) == "image_processor.aws_lambda\n"


def test_an_image_is_rendered_from_the_zip_alone(
    python: str, packages: dict[str, Path], tmp_path: Path
) -> None:
    code = (
        "from image_processor.engine import render, sample\n"
        "from image_processor.domain.models import Limits\n"
        "from image_processor.domain.transformation import Transformation\n"
        "made = render.render(sample.draw_sample(), [Transformation(width=64, format='avif')], Limits())\n"
        "print(made.renditions[0].metadata.width)"
    )
    assert alone(python, packages["process"], tmp_path, code) == "64\n"


def test_every_module_is_compiled_without_a_time_or_a_place_of_this_machine(
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


def test_nothing_is_packed_that_no_function_reads(packages: dict[str, Path]) -> None:
    for package in packages.values():
        with zipfile.ZipFile(package) as archive:
            names = archive.namelist()
        assert not [
            name for name in names if "/tests/" in name or name.startswith("bin/") or name.endswith(".pyi")
        ]
        assert not [name for name in names if name.endswith(("/RECORD", "/INSTALLER", "direct_url.json"))]
        assert "image_processor/aws_lambda/__init__.py" in names


@pytest.mark.parametrize(("function", "arch"), PACKED.items())
def test_every_library_is_for_the_processor_asked_for(
    packages: dict[str, Path], function: str, arch: str
) -> None:
    with zipfile.ZipFile(packages[function]) as archive:
        headers = {name: archive.read(name)[:20] for name in archive.namelist() if ".so" in Path(name).name}
    machines = {int.from_bytes(header[18:20], "little") for header in headers.values()}
    assert machines == {MACHINES[arch]}
    assert {"_libvips.abi3.so"} < headers.keys()


# What none of these needs to begin its work, and what each would add to every cold start.
_HEAVY = (
    "email",
    "hashlib",
    "hmac",
    "http.client",
    "ipaddress",
    "importlib.util",
    "inspect",
    "ssl",
    "tomllib",
)


@pytest.mark.parametrize("catalog", ["", "records"])
def test_the_process_function_begins_with_nothing_that_it_does_not_need(
    python: str, packages: dict[str, Path], tmp_path: Path, catalog: str
) -> None:
    settings = {
        "IMAGE_PROCESSOR_UPLOAD_BUCKET": "uploads",
        "IMAGE_PROCESSOR_PROCESSED_BUCKET": "processed",
        **({"IMAGE_PROCESSOR_TABLE": catalog} if catalog else {}),
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_SESSION_TOKEN": "token",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    }
    code = (
        "import os, sys\n"
        f"os.environ |= {settings}\n"
        "from image_processor import aws_lambda as app\n"
        "app._process()\n"
        "app._load_engine()\n"
        f"loaded = sorted(set({_HEAVY}) & set(sys.modules))\n"
        "print(loaded, 'pyvips' in sys.modules, os.environ['SSL_CERT_FILE'])"
    )
    own = tmp_path / "image_processor" / "aws" / "roots.pem"
    assert alone(python, packages["process"], tmp_path, code) == f"[] True {own}\n"


_LOADS = """
import sys, traceback
from image_processor import aws_lambda as app
from image_processor.engine import render
from image_processor.domain.models import Limits
loaded = ("pyvips", "pyvips.vimage", "image_processor.engine", "image_processor.engine.codecs.decode")
kinds = {type(sys.modules[name].__loader__).__name__ for name in loaded}
try:
    render.render(b"no image", [], Limits())
except Exception:
    shown = traceback.format_exc()
print(kinds.pop(), not kinds, "raise Refused(" in shown, render.__file__, app.__path__, sep="\\n")
"""


@pytest.mark.parametrize("packed", [True, False])
def test_modules_come_out_of_one_file_as_if_out_of_their_own(
    python: str, packages: dict[str, Path], tmp_path: Path, *, packed: bool
) -> None:
    own = tmp_path / "image_processor"
    shutil.unpack_archive(packages["process"], tmp_path)
    if not packed:
        (tmp_path / build.BYTECODE).unlink()
    path = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
    done = subprocess.run(
        [python, "-I", "-S", "-B", "-c", path + _LOADS], env={}, capture_output=True, text=True, check=True
    )
    loader = "_Loader" if packed else "SourceFileLoader"
    assert done.stdout.splitlines() == [
        *(loader, "True", "True"),
        str(own / "engine" / "render.py"),
        str([str(own / "app")]),
    ]


def test_amazon_s_authorities_are_packed_and_nobody_else_s(packages: dict[str, Path]) -> None:
    for package in packages.values():
        with zipfile.ZipFile(package) as archive:
            pem = archive.read("image_processor/aws/roots.pem").decode()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=pem)
        names = {dict(part[0] for part in one["subject"])["commonName"] for one in context.get_ca_certs()}
        assert names == {
            *(f"Amazon Root CA {number}" for number in (1, 2, 3, 4)),
            "Starfield Services Root Certificate Authority - G2",
        }


def test_an_authority_that_is_not_on_the_list_any_more_stops_the_build(packages: dict[str, Path]) -> None:
    with zipfile.ZipFile(packages["process"]) as archive:
        pem = archive.read("image_processor/aws/roots.pem").decode()
    first, *others = re.findall(r"-----BEGIN.+?END CERTIFICATE-----\n", pem, re.DOTALL)
    assert roots.amazons("# a comment\n" + "".join([*reversed(others), first])) == pem
    with pytest.raises(roots.MissingRoots, match="expected Amazon Root CA 1 in certifi's list, got 4 others"):
        roots.amazons("".join(others))


def test_the_recipes_in_a_package_have_been_parsed(
    python: str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert python
    assert source == build.SOURCE
    own = tmp_path / "own.toml"
    own.write_text('[presets.p]\nwidth = 7\nformats = ["png"]\n[[rules]]\nmatch = "**"\npresets = ["p"]\n')
    tree = tmp_path / "tree"
    monkeypatch.chdir(source)  # where another package of that name lies
    build.build(build.PACKAGES["process"], "x86_64", tree, own)
    parsed = json.loads((tree / "image_processor" / "wiring" / "parsed.json").read_text())
    assert parsed == {text: tomllib.loads(text) for text in (DEFAULT_RECIPE, own.read_text())}


def test_the_same_sources_make_the_same_zip(
    packages: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "CACHE", tmp_path / "cache")  # everything is made anew, and elsewhere
    again = ["process", "--arch", "x86_64", "--into", tmp_path / "elsewhere", "--zip", tmp_path / "again.zip"]
    assert build.main(list(map(str, again))) == 0
    assert (tmp_path / "again.zip").read_bytes() == packages["process"].read_bytes()


def test_only_the_api_carries_a_web_framework(packages: dict[str, Path]) -> None:
    for function, package in packages.items():
        with zipfile.ZipFile(package) as archive:
            tops = {name.partition("/")[0] for name in archive.namelist()}
        assert ({"fastapi", "pydantic", "mangum"} <= tops) == (function == "api")
        assert not {"boto3", "botocore", "typer", "uvicorn"} & tops


def test_a_package_carries_what_reads_heic_if_asked(
    telephone_package: tuple[str, Path], packages: dict[str, Path]
) -> None:
    arch, package = telephone_package
    with zipfile.ZipFile(package) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist()}
        libraries = {name: archive.read(name)[:20] for name in archive.namelist() if ".so" in Path(name).name}
    with zipfile.ZipFile(packages["process"]) as archive:
        plain = {name.partition("/")[0] for name in archive.namelist()}
    assert tops >= {"pillow_heif", "PIL", *(top for top in plain if ".cpython-" not in top)}
    assert not {"pillow_heif", "PIL", "pillow_jxl"} & plain
    machines = {int.from_bytes(header[18:20], "little") for header in libraries.values()}
    assert machines == {MACHINES[arch]}
    assert any(name.startswith("pillow_heif.libs/libde265") for name in libraries)
    assert package.stat().st_size < 50_000_000, "what Lambda takes without a bucket between"


@pytest.mark.parametrize("telephone_package", ["x86_64"], indirect=True)
def test_a_telephone_s_photograph_is_rendered_from_that_zip_alone(
    python: str, telephone_package: tuple[str, Path], tmp_path: Path
) -> None:
    _, package = telephone_package
    photograph = tmp_path / "photograph.heic"
    pillow_heif.from_pillow(Image.new("RGB", (128, 64), "orange")).save(photograph, quality=80)
    code = (
        "from pathlib import Path\n"
        "from image_processor.engine import render\n"
        "from image_processor.domain.models import Limits\n"
        "from image_processor.domain.transformation import Transformation\n"
        f"data = Path({str(photograph)!r}).read_bytes()\n"
        "made = render.render(data, [Transformation(width=64, format='jpeg')], Limits())\n"
        "print(made.original.format, made.renditions[0].metadata.height)"
    )
    assert alone(python, package, tmp_path / "unzipped", code) == "heic 32\n"


def test_what_cannot_be_packed_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WITH", "heic bmp")
    assert build.main(["process", "--into", str(tmp_path / "tree")]) == 1
    assert capsys.readouterr().err == "expected heic | jxl for --with, got bmp\n"


def test_the_size_is_told_and_bounded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "big.so").write_bytes(bytes(3 * build.MIB))
    build.check_size(tmp_path, 3)
    assert capsys.readouterr().out == "package: 3.0 MiB unzipped of at most 3 (library 3.0)\n"
    with pytest.raises(build.BuildError, match=r"expected at most 2 MiB for the package, got 3.0"):
        build.check_size(tmp_path, 2)


def test_a_recipe_goes_along_if_it_is_one(tmp_path: Path) -> None:
    recipe = tmp_path / "ours.toml"
    recipe.write_text(DEFAULT_RECIPE)
    build.add_recipe(recipe, tmp_path)
    assert (tmp_path / "recipe.toml").read_text() == DEFAULT_RECIPE
    recipe.write_text("[presets.small]\nwidth = 0\n")
    with pytest.raises(build.BuildError, match=r"ours.toml: .*expected .* for presets.small.width, got 0"):
        build.add_recipe(recipe, tmp_path)


def test_a_wrong_answer_about_the_interpreter_is_no_reason_to_look_elsewhere(
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
        tmp_path / "python3.13": "exit 127",  # a shim of pyenv for a version that is not switched on
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
