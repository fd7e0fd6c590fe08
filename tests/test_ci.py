"""CI's entry, run in a world of stubs: it says what is missing and skips nothing silently."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / ".ci" / "run"
REAL = ("bash", "chmod", "dirname", "env", "git")
VERSION = "3.13"
LAMBDA_PYTHON = f"python{VERSION}"
APT = '[ "$1" = update ] || printf "#!/bin/sh\\n" > "$STUBS/chromium"; chmod +x "$STUBS"/*'


class World:
    """A PATH of its own: few real tools, and stubs that print how they were called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for tool in REAL:
            (folder / tool).symlink_to(shutil.which(tool) or tool)
        self.stub("id", "echo 0")
        self.stub("node", "")
        self.stub("npm", "")
        self.stub("njs", "")
        self.stub("chromium-headless-shell", "")
        for tool in ("exiftool", "nginx", "caddy", "promtool", "zsh", "fish", "ruby", "php"):
            self.stub(tool, "")
        self.stub("make", 'echo "make $*"')
        self.stub("python3", f'exec "{sys.executable}" "$@"')
        self.stub(LAMBDA_PYTHON, f"echo {VERSION}")

    def stub(self, name: str, code: str) -> None:
        file = self.folder / name
        file.write_text(f"#!{shutil.which('sh')}\n{code}\n")
        file.chmod(0o755)

    def run(self, **environment: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": str(self.folder), "STUBS": str(self.folder), **environment}
        return subprocess.run(
            [str(self.folder / "bash"), str(SCRIPT)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_with_all_there_it_installs_nothing_and_tests(world: World) -> None:
    world.stub("chromium", "")
    world.stub("apt-get", "echo called apt-get")
    done = world.run(CI="true")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "make -j 2 environments PYTHON=python3\nmake test PYTHON=python3\n"


def test_a_missing_browser_is_installed(world: World) -> None:
    world.stub("apt-get", APT)
    done = world.run(CI="true")
    assert done.returncode == 0, done.stderr
    assert "make test" in done.stdout


def test_the_browser_without_windows_is_installed_where_it_can_be_had(world: World) -> None:
    world.stub("chromium", "")
    (world.folder / "chromium-headless-shell").unlink()
    world.stub("apt-get", 'echo "$@"')
    done = world.run(CI="true")
    assert "--no-install-recommends chromium-headless-shell\n" in done.stderr
    world.stub("apt-get", '[ "$1" = update ]')
    done = world.run(CI="true")
    assert "chromium-headless-shell is missing: the tests of pages take longer" in done.stderr
    assert "make test" in done.stdout


def test_in_ci_a_browser_that_cannot_be_had_is_a_failure(world: World) -> None:
    done = world.run(CI="true")
    assert done.returncode == 1
    assert "expected chromium on the PATH" in done.stderr
    assert "make test" not in done.stdout


def test_elsewhere_a_missing_browser_is_said(world: World) -> None:
    done = world.run()
    assert done.returncode == 0
    assert "chromium is missing" in done.stderr
    assert "make test" in done.stdout


def test_a_missing_tool_is_a_failure_everywhere(world: World) -> None:
    world.stub("chromium", "")
    (world.folder / "make").unlink()
    done = world.run()
    assert done.returncode == 1
    assert "expected make on the PATH, got none" in done.stderr


def test_only_what_is_missing_is_installed(world: World) -> None:
    (world.folder / "njs").unlink()
    world.stub("chromium", "")
    world.stub("apt-get", 'echo "$@"')
    done = world.run(CI="true")
    assert done.returncode == 0
    assert "install -y -q --no-install-recommends njs\n" in done.stdout
    assert "njs is missing: the edge function is only run in node" in done.stderr


def test_in_ci_a_missing_exiftool_is_a_failure(world: World) -> None:
    world.stub("chromium", "")
    (world.folder / "exiftool").unlink()
    done = world.run(CI="true")
    assert done.returncode == 1
    assert "expected exiftool on the PATH, got none" in done.stderr
    elsewhere = world.run()
    assert "exiftool is missing: the tests that need it cannot run" in elsewhere.stderr
    assert "make test" in elsewhere.stdout


def test_exiftool_comes_with_its_package(world: World) -> None:
    world.stub("chromium", "")
    (world.folder / "exiftool").unlink()
    world.stub("apt-get", 'echo "$@"')
    assert "--no-install-recommends libimage-exiftool-perl\n" in world.run().stdout


def test_in_ci_a_missing_node_is_a_failure(world: World) -> None:
    (world.folder / "node").unlink()
    world.stub("chromium", "")
    done = world.run(CI="true")
    assert done.returncode == 1
    assert "expected node on the PATH, got none" in done.stderr


def test_an_old_python_is_a_failure(world: World) -> None:
    world.stub("chromium", "")
    world.stub("python3", '[ "$1" = --version ] && echo Python 3.9.2; exit 1')
    (world.folder / LAMBDA_PYTHON).unlink()
    done = world.run()
    assert done.returncode == 1
    assert "expected Python 3.11 or newer with venv, got Python 3.9.2" in done.stderr


@pytest.mark.skipif(sys.version_info[:2] == (3, 13), reason="the python3 of this world is Lambda's")
class TestWithoutLambdasPython:
    @pytest.fixture
    def world(self, world: World) -> World:
        world.stub("chromium", "")
        (world.folder / LAMBDA_PYTHON).unlink()
        return world

    def test_it_is_installed(self, world: World) -> None:
        code = f"#!/bin/sh\\necho {VERSION}\\n"
        world.stub("apt-get", f'printf "{code}" > "$STUBS/{LAMBDA_PYTHON}"; chmod +x "$STUBS"/*; echo "$@"')
        done = world.run(CI="true")
        assert done.returncode == 0, done.stderr
        assert f"{LAMBDA_PYTHON} {LAMBDA_PYTHON}-venv" in done.stdout
        assert "make test" in done.stdout

    def test_in_ci_its_lack_is_a_failure(self, world: World) -> None:
        done = world.run(CI="true")
        assert done.returncode == 1
        assert f"expected Python {VERSION}" in done.stderr
        assert "make test" not in done.stdout

    def test_elsewhere_its_lack_is_said(self, world: World) -> None:
        done = world.run()
        assert done.returncode == 0
        assert f"Python {VERSION} is missing" in done.stderr
        assert "make test" in done.stdout


def test_it_can_be_run_as_it_is() -> None:
    assert os.access(SCRIPT, os.X_OK)


def test_the_minifier_is_installed_and_in_ci_its_lack_is_a_failure(world: World) -> None:
    world.stub("chromium", "")
    world.stub("npm", 'echo "npm $*"')
    installed = world.run(CI="true").stdout
    for folder in (
        "deployment/edge",
        "studio",
        "clients/typescript",
        "examples/cdk",
        "examples/eleventy-site",
    ):
        assert f"npm ci --prefix {folder}" in installed
    world.stub("npm", "exit 1")
    done = world.run(CI="true")
    assert done.returncode == 1
    assert "expected npm ci to install deployment/edge" in done.stderr
    assert "make test" not in done.stdout
    elsewhere = world.run()
    for tool in ("terser", "vite", "TypeScript", "sharp", "the AWS CDK", "Eleventy"):
        assert f"{tool} is missing" in elsewhere.stderr
    assert "make test" in elsewhere.stdout


def test_installations_run_at_the_same_time_and_before_the_tests(world: World) -> None:
    """Each waits until all have begun: one after the other, the first would wait for ever."""
    world.stub("chromium", "")
    (world.folder / "sleep").symlink_to(shutil.which("sleep") or "sleep")
    together = 'echo x >> "$STUBS/begun"; until [ "$(wc -l < "$STUBS/begun")" = 7 ]; do sleep 0.05; done'
    (world.folder / "wc").symlink_to(shutil.which("wc") or "wc")
    world.stub("npm", f"{together}; echo installed")
    world.stub("make", f'[ "$1" = test ] || {{ {together}; }}; echo "make $*"')
    done = world.run(CI="true")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines.count("installed") == 6
    assert lines[-1] == "make test PYTHON=python3"


def test_environments_that_cannot_be_installed_are_a_failure(world: World) -> None:
    world.stub("chromium", "")
    world.stub("make", '[ "$1" = test ] && echo tested; [ "$1" = test ]')
    done = world.run()
    assert done.returncode == 1
    assert "expected make to install the environments of Python" in done.stderr
    assert "tested" not in done.stdout
