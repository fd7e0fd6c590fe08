"""`bench`: what a user's own photographs cost on this machine, compared with sharp where it is installed."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
from msgspec import Struct, to_builtins
from rich.table import Table

from image_processor.config.recipe import Recipe, load_recipe
from image_processor.domain.errors import Invalid, MissingExtra, Refused, Unavailable
from image_processor.domain.models import Limits
from image_processor.domain.transformation import Transformation
from image_processor.engine.worker.isolation import IsolatedRenderer

from .bench_peer import Cost, Sharp, is_comparable
from .console import open_console
from .context import command_context
from .options import Json, RecipeFile, settings_with
from .output import format_bytes, printable
from .process_inputs import find_inputs

OURS, SHARP = "image-processor", "sharp"


class Photograph(Struct, frozen=True):
    """A file, and what is made of it."""

    path: Path
    data: bytes
    transformations: tuple[Transformation, ...]


class Report(Struct, frozen=True):
    """Sums over all photographs, of the medians of their runs. ``costs`` are by program, ``bytes_by_format``
    by program and format. ``left_out`` says what is not measured."""

    photographs: int
    megapixels: float
    original_bytes: int
    renditions: int
    runs: int
    costs: Mapping[str, Cost]
    bytes_by_format: Mapping[str, Mapping[str, int]]
    left_out: tuple[str, ...]


def command(
    ctx: typer.Context,
    paths: Annotated[
        list[Path], typer.Argument(help="Photographs, or directories of them.", metavar="FILE|DIR...")
    ],
    recipe: RecipeFile = None,
    runs: Annotated[int, typer.Option(help="Runs per photograph, of which the median counts.", min=1)] = 5,
    limit: Annotated[int, typer.Option(help="The most photographs to measure.", min=1)] = 20,
    sharp: Annotated[
        Path, typer.Option(help="Directory from which Node.js finds sharp.", file_okay=False)
    ] = Path(),
    as_json: Json = False,
) -> None:
    """Measure what the renditions of your photographs cost on this machine: CPU, time and bytes.

    Each photograph is rendered as the recipe says, in an isolated process whose start does not count. Where
    Node.js and sharp are installed, sharp makes the same sizes, formats and qualities, in alternation; what
    it has no words for is then left out on both sides.
    """
    settings = settings_with(recipe=recipe)
    rules = load_recipe(settings.recipe).without_lazy()
    inputs = find_inputs(paths, None, command_context(ctx).list_files, lambda _: None)
    files = [(item.upload(name).key, item.directory / name) for item in inputs for name in item.names][:limit]
    left_out: list[str] = []
    with ExitStack() as stack:
        renderer = stack.enter_context(IsolatedRenderer(sandbox=settings.sandbox))
        renderer.warm()
        peer = _open_peer(stack, sharp, left_out)
        photographs = _photographs(files, rules, left_out, comparable=peer is not None)
        report = _measure(renderer, peer, photographs, runs, settings.limits, left_out)
    if as_json:
        typer.echo(json.dumps(to_builtins(report)))
    else:
        _print(report, peer.version if peer else None)


def _open_peer(stack: ExitStack, folder: Path, left_out: list[str]) -> Sharp | None:
    try:
        return stack.enter_context(Sharp(folder))
    except Unavailable as error:
        left_out.append(str(error))
        return None


def _photographs(
    files: Sequence[tuple[str, Path]], recipe: Recipe, left_out: list[str], *, comparable: bool
) -> list[Photograph]:
    found = []
    for key, path in files:
        declared = recipe.eager_for(key)
        wanted = tuple(item for item in declared if not comparable or is_comparable(item))
        left_out += [f"{printable(key)}: {item}" for item in declared if item not in wanted]
        if wanted:
            found.append(Photograph(path, path.read_bytes(), wanted))
    return found


def _measure(
    renderer: IsolatedRenderer,
    peer: Sharp | None,
    photographs: Sequence[Photograph],
    runs: int,
    limits: Limits,
    left_out: list[str],
) -> Report:
    """Render each photograph ``runs`` times after one that warms up, alternately by both programs."""
    totals: defaultdict[str, list[Cost]] = defaultdict(list)
    formats: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    measured, pixels = [], 0.0
    for photograph in photographs:
        costs: defaultdict[str, list[Cost]] = defaultdict(list)
        try:
            for _ in range(runs + 1):
                cost, size = _render(renderer, photograph, limits)
                costs[OURS].append(cost)
                if peer is not None:
                    costs[SHARP].append(peer.render(photograph.path, photograph.transformations))
        except (Refused, MissingExtra, Unavailable) as error:
            left_out.append(f"{printable(photograph.path.name)}: {error}")
            continue
        measured.append(photograph)
        pixels += size
        for program, found in costs.items():
            totals[program].append(_median(found[1:]))
            for item, count in zip(photograph.transformations, found[-1].bytes, strict=True):
                formats[program][item.format] += count
    if not measured:
        raise Invalid.one("FILE|DIR", "a photograph that the recipe renders", "; ".join(left_out) or "none")
    return Report(
        len(measured),
        round(pixels / 1e6, 1),
        sum(len(photograph.data) for photograph in measured),
        sum(len(photograph.transformations) for photograph in measured),
        runs,
        {program: _sum(found) for program, found in totals.items()},
        {program: dict(found) for program, found in formats.items()},
        tuple(left_out),
    )


def _render(renderer: IsolatedRenderer, photograph: Photograph, limits: Limits) -> tuple[Cost, int]:
    """The cost of one run of ours, and the pixels of the original."""
    cpu, started = renderer.cpu_seconds, time.perf_counter()
    rendered = renderer.render(photograph.data, photograph.transformations, limits, summary=False)
    wall = time.perf_counter() - started
    count = tuple(image.metadata.bytes for image in rendered.renditions)
    original = rendered.original
    return Cost(renderer.cpu_seconds - cpu, wall, count), original.width * original.height


def _median(costs: Sequence[Cost]) -> Cost:
    return Cost(median(cost.cpu for cost in costs), median(cost.wall for cost in costs), costs[-1].bytes)


def _sum(costs: Sequence[Cost]) -> Cost:
    count = sum(sum(cost.bytes) for cost in costs)
    return Cost(sum(cost.cpu for cost in costs), sum(cost.wall for cost in costs), (count,))


def _print(report: Report, version: str | None) -> None:
    console = open_console(highlight=False)
    originals = f"{report.megapixels:g} megapixels, {format_bytes(report.original_bytes)}"
    made = f"renditions: {report.renditions}; runs: {report.runs}, of which the median counts"
    console.print(f"Photographs: {report.photographs} ({originals}); {made}")
    table = Table("A photograph", "CPU", "Time", "Renditions a second", "Bytes", box=None)
    for program, cost in report.costs.items():
        name = program if version is None or program == OURS else f"{program} {version}"
        table.add_row(
            name,
            f"{1000 * cost.cpu / report.photographs:.0f} ms",
            f"{1000 * cost.wall / report.photographs:.0f} ms",
            f"{report.renditions / cost.wall:.1f}",
            format_bytes(round(cost.bytes[0] / report.photographs)),
        )
    if SHARP in report.costs:
        ours, peer = report.costs[OURS], report.costs[SHARP]
        ratios = (ours.cpu / peer.cpu, ours.wall / peer.wall, peer.wall / ours.wall)
        table.add_row("ratio", *(f"{ratio:.2f}" for ratio in (*ratios, ours.bytes[0] / peer.bytes[0])))
    console.print(table)
    table = Table("Format", *report.bytes_by_format, box=None)
    for format_ in report.bytes_by_format[OURS]:
        table.add_row(format_, *(format_bytes(found[format_]) for found in report.bytes_by_format.values()))
    console.print(table)
    for line in report.left_out:
        typer.echo(f"left out: {line}", err=True)
