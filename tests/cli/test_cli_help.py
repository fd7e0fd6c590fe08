"""Help, examples and completion of all commands."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from image_processor import __version__
from image_processor.cli.commands import app
from image_processor.cli.examples import EXAMPLES

ROOT = typer.main.get_command(app)
BIN = Path(sys.executable).parent


def names(group, before=()):
    for name in group.list_commands(None):
        command = group.commands[name]
        yield from (
            names(command, (*before, name))
            if isinstance(command, TyperGroup)
            else [" ".join((*before, name))]
        )


def command_of(name):
    command = ROOT
    for part in name.split():
        command = command.commands[part]
    return command


def test_each_command_has_examples_and_no_other():
    assert sorted(names(ROOT)) == sorted(EXAMPLES)


@pytest.mark.parametrize(
    ("name", "example"), [(name, example) for name, examples in EXAMPLES.items() for example in examples]
)
def test_an_example_is_a_valid_command(tmp_path, monkeypatch, name, example):
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for file in ("cat.jpg", "recipe.toml", "catalog.bak", "access.log"):
        Path(file).touch()
    for sign in ("<", ">"):
        example = example.split(f" {sign} ")[0]
    arguments = shlex.split(example)[len(name.split()) :]
    command = command_of(name)
    command.make_context(name, arguments, resilient_parsing=False)
    assert f"image-processor {example}" in command.epilog


def test_help_ends_with_the_examples(run):
    out = run("transform", "--help")[1]
    assert "image-processor transform cat.jpg width=640,quality=80 -o cat.webp" in out


def test_the_version_has_a_short_option(run):
    assert run("-V")[:2] == (0, f"{__version__}\n")


COMPLETE = {
    "bash": "source ./script; COMP_WORDS=(image-processor {word}); COMP_CWORD=1;"
    ' _image_processor_completion image-processor; printf "%s\\n" "${{COMPREPLY[@]}}"',
    "fish": "source ./script; complete -C 'image-processor {word}'",
    # Outside of a terminal `_arguments` shows nothing: this one prints what it would offer.
    "zsh": "autoload -U compinit; compinit -u; source ./script; _arguments() {{ print -l -- $@ }};"
    " words=(image-processor {word}); CURRENT=2; _image_processor_completion",
}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_printed_for_each_shell(run, shell):
    status, out, _ = run("completion", shell)
    assert status == 0
    assert "_IMAGE_PROCESSOR_COMPLETE=complete_" + shell in out
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"NOT TESTED: {shell} is not installed")
    Path("script").write_text(out)
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    text = COMPLETE[shell].format(word="trans")
    ended = subprocess.run([program, "-c", text], capture_output=True, text=True, env=environment, check=True)
    assert "trans" in ended.stdout


def test_an_unknown_shell_is_an_error(run):
    assert run("completion", "tcsh")[0] == 2
