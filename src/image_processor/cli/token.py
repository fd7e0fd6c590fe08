"""`token`: tokens of the REST API."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from image_processor.config.settings import PREFIX
from image_processor.config.tokens import Scope, create_token, is_token_name
from image_processor.domain.errors import Invalid

from .options import Json

app = typer.Typer(no_args_is_help=True, help="Make tokens, with which clients may use the REST API.")


@app.callback()
def _group() -> None:
    """Without a callback typer would make the only command the group itself."""


@app.command("create")
def create_command(
    scope: Annotated[
        Scope, typer.Option(help="What its holder may do; `write` includes `read`, and `admin` both.")
    ],
    name: Annotated[
        str | None, typer.Option(help="Who has it: letters, digits, `.`, `_`, `-`.", show_default="its hash")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a token, and print the line with its hash that a server needs to know.

    The line goes to standard output, as in `image-processor token create --scope read >> tokens.txt`; the
    token itself is shown once, on standard error, and stored nowhere. A server asks for tokens as soon as
    `IMAGE_PROCESSOR_TOKENS` has such lines, comma-separated, or the file of `IMAGE_PROCESSOR_TOKENS_FILE`.
    """
    if name is not None and not is_token_name(name):
        raise Invalid.one("--name", "at most 64 letters, digits, `.`, `_` and `-`", name)
    text, token = create_token(scope, name)
    if as_json:
        typer.echo(json.dumps({"token": text, "scope": scope, "name": token.name, "line": str(token)}))
        return
    typer.echo(f"The token, which is shown only now: {text}", err=True)
    typer.echo(f"The line for {PREFIX}TOKENS or its file:", err=True)
    typer.echo(str(token))
