"""`cost`: what a month on AWS would cost, by service, from dated list prices and measured milliseconds."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from msgspec import to_builtins
from rich.console import Console
from rich.table import Table

from image_processor.config.recipe import load_recipe

from .cost_model import Estimate, Workload, estimate, sources
from .options import Json, RecipeFile, settings_with

_DEFAULT = Workload()


def command(  # noqa: PLR0913, PLR0917 - one per option
    uploads: Annotated[int, typer.Option(help="Uploads a month.")] = _DEFAULT.uploads,
    size: Annotated[float, typer.Option(help="MB of an original.")] = _DEFAULT.size,
    megapixels: Annotated[float, typer.Option(help="Megapixels of an original.")] = _DEFAULT.megapixels,
    views: Annotated[int, typer.Option(help="Renditions that browsers request a month.")] = _DEFAULT.views,
    hit_ratio: Annotated[
        float, typer.Option(help="Part of the views that the CDN answers from its cache.")
    ] = _DEFAULT.hit_ratio,
    view_kb: Annotated[float, typer.Option(help="kB of a rendition.")] = _DEFAULT.view_kb,
    lazy_viewed: Annotated[
        float, typer.Option(help="Part of the renditions of lazy presets that are ever viewed.")
    ] = _DEFAULT.lazy_viewed,
    api: Annotated[int, typer.Option(help="Requests of the API a month.")] = _DEFAULT.api,
    memory: Annotated[int, typer.Option(help="MB of the functions.")] = _DEFAULT.memory,
    architecture: Annotated[str, typer.Option(help="arm64 or x86_64.")] = _DEFAULT.architecture,
    table: Annotated[bool, typer.Option(help="Records in DynamoDB, or as objects.")] = _DEFAULT.table,
    events: Annotated[
        bool, typer.Option(help="An EventBridge event for each upload, or none.")
    ] = _DEFAULT.events,
    region: Annotated[str, typer.Option(help="Region of the stack.")] = "us-east-1",
    key: Annotated[
        str, typer.Option(help="Key of a typical upload; the recipe's rule for it applies.")
    ] = "photo.jpg",
    recipe: RecipeFile = None,
    as_json: Json = False,
) -> None:
    """Estimate what a month on AWS costs, and name the largest line and what would cut it.

    List prices without free tiers and discounts. A line without a price in the price file is not in the
    total. Storage is that of one month's uploads. Lambda's time is measured CPU time, without the time that
    functions wait for S3 and DynamoDB.
    """
    workload = Workload(
        uploads,
        size,
        megapixels,
        views,
        hit_ratio,
        view_kb,
        lazy_viewed,
        api,
        memory,
        architecture,
        table,
        events,
    )
    found = estimate(workload, load_recipe(settings_with(recipe=recipe).recipe), region, key)
    if as_json:
        typer.echo(json.dumps(_fields(found)))
        return
    _print(found)


def _fields(found: Estimate) -> dict[str, object]:
    largest = found.largest
    return {
        **to_builtins(found),
        "total": found.total,
        "largest": to_builtins(largest) if largest else None,
        "advice": found.advice,
        "without_price": list(found.without_price),
        "sources": list(sources()),
    }


def _print(found: Estimate) -> None:
    rows = Table("Service", "Item", "Quantity", "USD", box=None)
    for line in found.lines:
        dollars = "no price" if line.dollars is None else f"{line.dollars:,.2f}"
        rows.add_row(line.service, line.item, f"{line.quantity:,.0f}", dollars)
    rows.add_row("total", "", "", f"{found.total:,.2f}", style="bold")
    Console(markup=False, width=100).print(rows)
    lines = [f"{found.region}, list prices as of {found.as_of}; one upload takes {_ms(found)} of CPU time"]
    if found.largest:
        share = 100 * (found.largest.dollars or 0) / found.total
        lines.append(f"largest: {found.largest.service}, {found.largest.item}: {share:.0f} %")
    if found.advice:
        lines.append(f"to cut it: {found.advice}")
    if found.without_price:
        lines.append("not in the total, as the price file has no price: " + "; ".join(found.without_price))
    typer.echo("\n".join(lines))
    for source in sources():
        typer.echo(f"source: {source}", err=True)


def _ms(found: Estimate) -> str:
    return f"{found.upload_milliseconds:,.0f} ms"
