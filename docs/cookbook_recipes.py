"""The recipes of docs/cookbook.toml: what each one makes, and how each interface says so."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path

import msgspec
from cookbook_originals import MARK

from image_processor.config.recipe import Recipe, parse_recipe
from image_processor.domain.formats import FORMATS
from image_processor.domain.transformation import Transformation
from image_processor.renditions.originals import overlay_keys

SOURCE = Path(__file__).with_name("cookbook.toml")
_MAX_LINE = 100


class CookbookRecipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One image: ``preset`` says how it is made from ``original``.

    ``auto``: the URL lets the client's Accept header choose the format. ``svg``: the original is one.
    """

    name: str
    title: str
    original: str
    alt: str
    text: str
    preset: str
    auto: bool = False
    svg: bool = False

    def recipe(self) -> Recipe:
        """The preset in a recipe of its own. Raises InvalidRecipe."""
        return parse_recipe(f'{self.toml()}\n[[rules]]\nmatch = "**"\npresets = ["{self.name}"]\n')

    def renditions(self) -> Mapping[str, Transformation]:
        """The transformations by the names of their files, in the order of the preset."""
        made = self.recipe().transformations_for(self.original)
        widths = len({item.width for item in made}) > 1
        return {
            f"{self.name}{f'-{item.width}' if widths else ''}.{FORMATS[item.format].extension}": item
            for item in made
        }

    def toml(self) -> str:
        table = f"presets.{self.name}"
        return f"[{table}]\n" + self.preset.strip().replace("[[overlays]]", f"[[{table}.overlays]]") + "\n"

    def urls(self) -> str:
        texts = list(map(str, self.renditions().values()))
        if self.auto:
            texts = [re.sub(r"fm=\w+$", "fm=auto", texts[0])]
        return "".join(f"https://CDN/{self.original}?{text.replace(',', '&')}\n" for text in texts)

    def commands(self) -> str:
        setting = "IMAGE_PROCESSOR_SVG=1 " if self.svg else ""
        overlays = " --overlays ." if self._has_marks() else ""
        program = f"{setting}image-processor transform {self.original}"
        return "".join(
            f"{program} {shlex.quote(str(item))} -o {name}{overlays}\n"
            for name, item in self.renditions().items()
        )

    def program(self) -> str:
        head = "from pathlib import Path\n\nimport image_processor\n\n"
        renditions = self.renditions()
        if len(renditions) == 1:
            ((name, item),) = renditions.items()
            arguments = [f'Path("{self.original}")', f'"{item}"', *self._overlays()]
            return (
                f"{head}{self._engine()}"
                f"{_call(f'rendition = {self._callee()}.transform', arguments)}"
                f'Path("{name}").write_bytes(rendition.body)\n'
            )
        texts = "".join(f'    "{name}": "{item}",\n' for name, item in renditions.items())
        arguments = [f'Path("{self.original}")', "texts.values()", *self._overlays()]
        return (
            f"{head}{self._engine()}texts = {{\n{texts}}}\n"
            f"{_call(f'renditions = {self._callee()}.transform_all', arguments)}"
            "for name, rendition in zip(texts, renditions, strict=True):\n"
            "    Path(name).write_bytes(rendition.body)\n"
        )

    def _engine(self) -> str:
        return (
            "engine = image_processor.Engine(limits=image_processor.Limits(svg=True))\n" if self.svg else ""
        )

    def _callee(self) -> str:
        return "engine" if self.svg else "image_processor"

    def _overlays(self) -> list[str]:
        return [f'overlays={{"{MARK}": Path("{MARK}")}}'] if self._has_marks() else []

    def _has_marks(self) -> bool:
        return MARK in overlay_keys(self.renditions().values())


class Task(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is done in a library, with a request, a command and a program."""

    name: str
    title: str
    text: str
    request: str
    command: str
    program: str


class Topic(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The recipes, or tasks, of one page."""

    page: str
    title: str
    about: str
    recipes: tuple[CookbookRecipe, ...] = ()
    tasks: tuple[Task, ...] = ()


class _Cookbook(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    topics: tuple[Topic, ...]


def topics() -> tuple[Topic, ...]:
    """The cookbook. Raises msgspec.ValidationError for a wrong or missing field."""
    return msgspec.toml.decode(SOURCE.read_bytes(), type=_Cookbook).topics


def recipes() -> tuple[CookbookRecipe, ...]:
    """All recipes, in the order of the pages."""
    return tuple(recipe for topic in topics() for recipe in topic.recipes)


def _call(callee: str, arguments: list[str]) -> str:
    """A call on one line if it fits there, else with one argument a line."""
    line = f"{callee}({', '.join(arguments)})"
    if len(line) <= _MAX_LINE:
        return f"{line}\n"
    return f"{callee}(\n" + "".join(f"    {argument},\n" for argument in arguments) + ")\n"
