"""Commands and recipes of README.md and docs/ are what the program accepts; the quick start works."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from image_processor.cli.commands import app
from image_processor.config.recipe import DEFAULT_RECIPE, parse_recipe
from support.served import Served

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAPERS = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
START, RECIPES = ((ROOT / "docs" / name).read_text() for name in ("start.md", "recipes.md"))
CAT = ROOT / "docs" / "architecture-diagram.png"


def blocks(text: str, *kinds: str) -> list[str]:
    """The contents of the fenced blocks of these kinds."""
    return [
        content
        for kind, content in re.findall(r"^```(\w+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        if kind in kinds
    ]


def commands() -> Iterator[tuple[str, list[str]]]:
    """The paper and the arguments of every command of the program in a block of shell."""
    for paper in PAPERS:
        for block in blocks(paper.read_text(), "sh", "console", "bash"):
            for line in block.replace("\\\n", " ").splitlines():
                if not re.search(r"(^|[ /])image-processor ", line):
                    continue
                # Several commands, and what is piped or redirected.
                words = split(line.removeprefix("$ "))
                while words:
                    end = next((n for n, word in enumerate(words) if set(word) <= set("();<>|&")), len(words))
                    is_file = words[end : end + 1] in (["<"], [">"], [">>"])  # and no command
                    part, words = words[:end], words[end + 1 + is_file :]
                    part = [*dropped(part)]
                    if part and Path(part[0]).name == "image-processor":
                        yield paper.name, part[1:]


def split(line: str) -> list[str]:
    """The words of a line of shell without its comment; operators are words."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="();<>|&")
    lexer.whitespace_split = True
    return list(lexer)


def dropped(words: list[str]) -> Iterator[str]:
    """Words without the variables before a command."""
    started = False
    for word in words:
        started = started or not re.fullmatch(r"[A-Z_]+=.*", word)
        if started:
            yield word


@pytest.mark.parametrize(("paper", "arguments"), list(commands()))
def test_a_command_of_the_papers_is_valid(paper, arguments, tmp_path, monkeypatch):
    del paper  # in the name of the test
    monkeypatch.chdir(tmp_path)
    command = typer.main.get_command(app)
    for name in list(arguments):
        if not isinstance(command, TyperGroup) or name.startswith("-"):
            break
        command, arguments = command.commands[name], arguments[1:]
    for argument in arguments:
        if re.fullmatch(r"[\w.-]+\.\w+", argument):
            Path(argument).touch()
    try:
        command.make_context("command", arguments)
    except typer.BadParameter as error:
        # Of this machine's files only.
        if not re.search("file '/.*' does not exist", str(error)):
            raise


def test_the_recipes_of_the_readme_are_one_valid_recipe():
    assert len(blocks(RECIPES, "toml")) == 2
    recipe = parse_recipe("\n".join(blocks(RECIPES, "toml")))
    assert {"card", "article", "poster", "same"} <= set(recipe.presets)


def test_the_quick_start_makes_the_renditions_that_it_names(tmp_path):
    (start,) = [block for block in blocks(START, "sh") if "curl -T" in block]
    (listed,) = [block for block in blocks(START, "sh") if block.startswith("ls ")]
    (tmp_path / "Pictures").mkdir()
    (tmp_path / "Pictures" / "cat.jpg").write_bytes(CAT.read_bytes())
    served = Served(tmp_path, DEFAULT_RECIPE)
    try:
        served.start()
        for line in start.splitlines():
            text = line.replace("http://127.0.0.1:8000", served.address)
            subprocess.run(
                ["sh", "-ec", text],
                cwd=tmp_path,
                env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
                check=True,
            )
        folder = tmp_path / listed.splitlines()[0].split()[1]
        names = [name for name in listed.splitlines()[1].split() if name.startswith("w=")]
        assert len(names) == 3
        served.wait_until(lambda: all((folder / name).exists() for name in names))
    finally:
        served.close()
