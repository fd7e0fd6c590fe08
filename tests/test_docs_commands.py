"""Commands and recipes of all pages are what the program accepts, and are run or say why not."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from image_processor.cli.commands import app
from image_processor.config.recipe import parse_recipe
from support import command_blocks

ROOT = Path(__file__).parents[1]
RECIPES = ROOT / "docs" / "recipes.md"


def commands() -> Iterator[tuple[str, list[str]]]:
    """The paper and the arguments of every command of the program in a block of shell."""
    for paper in command_blocks.PAPERS:
        for block in command_blocks.blocks(paper):
            if block.kind not in command_blocks.SHELL:
                continue
            for line in block.content.replace("\\\n", " ").splitlines():
                if not re.search(r"(^|[ /])image-processor ", line):
                    continue
                # Several commands, and what is piped or redirected.
                words = split(line.removeprefix("$ "))
                while words:
                    end = next((n for n, word in enumerate(words) if set(word) <= set("();<>|&")), len(words))
                    is_file = words[end : end + 1] in (["<"], [">"], [">>"])  # and no command
                    operator = words[end] if end < len(words) else ""
                    part, words = words[:end], words[end + 1 + is_file :]
                    if operator == ">" and part[-1:] == ["2"]:  # of `2> file`
                        part.pop()
                    part = [*dropped(part)]
                    if part and Path(part[0]).name == "image-processor":
                        yield paper.relative_to(ROOT).as_posix(), part[1:]


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
    blocks = [block.content for block in command_blocks.blocks(RECIPES) if block.kind == "toml"]
    assert len(blocks) == 2
    recipe = parse_recipe("\n".join(blocks))
    assert {"card", "article", "poster", "same"} <= set(recipe.presets)


@pytest.mark.parametrize("paper", command_blocks.PAPERS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_block_of_commands_is_run_or_says_why_not(paper):
    unmarked = [
        block.content
        for block in command_blocks.blocks(paper)
        if block.kind in command_blocks.SHELL
        and not block.not_run
        and not command_blocks.is_followed(paper, block)
    ]
    assert unmarked == [], (
        "follow the page in tests/tutorials/test_start.py, or put <!-- run on AWS --> or"
        " <!-- not run: REASON --> above"
    )


def test_a_mark_of_a_page_is_for_its_blocks(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A\n\n<!-- commands not run: no account -->\n\n```sh\na\n```\n")
    assert [block.not_run for block in command_blocks.blocks(page)] == ["no account"]


def test_every_page_that_is_followed_has_commands():
    assert {*command_blocks.FOLLOWED} <= {
        paper.relative_to(ROOT).as_posix()
        for paper in command_blocks.PAPERS
        if any(block.kind == "sh" for block in command_blocks.blocks(paper))
    }


def test_blocks_of_a_page_are_run_on_this_machine_or_on_aws(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- run on AWS -->\n```sh\na\n```\n\n```text\n1\n```\n\n```sh\nb\n```\n\n```text\n2\n```\n\n"
        "<!-- not run: no account -->\n```sh\nc\n```\n\n```text\n3\n```\n\n```console\nd\n```\n"
    )
    assert [block.content for block in command_blocks.to_run(page, on_aws=True)] == ["a\n", "1\n"]
    assert [block.content for block in command_blocks.to_run(page, on_aws=False)] == ["b\n", "2\n"]


def test_a_reason_names_tests_that_exist():
    """Where a mark says which test has the same, that is there."""
    reasons = {
        block.not_run or "" for paper in command_blocks.PAPERS for block in command_blocks.blocks(paper)
    }
    named = {name for reason in reasons for name in re.findall(r"\btests/[\w/]+(?:\.py)?", reason)}
    assert len(named) > 10
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_an_unmarked_block_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("<!-- not run: no account -->\n```sh\na\n```\n\n```sh\nb\n```\n")
    assert [(block.content, block.not_run) for block in command_blocks.blocks(page)] == [
        ("a\n", "no account"),
        ("b\n", None),
    ]
