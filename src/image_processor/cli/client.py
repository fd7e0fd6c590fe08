"""`upload`, `delete` and `open`: originals of a server, or of a stack on AWS, from another machine."""

from __future__ import annotations

import json
import os
import webbrowser
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Annotated, Protocol
from urllib.parse import unquote, urlsplit

import typer

from image_processor.domain.errors import ImageProcessorError, Invalid, NotFound
from image_processor.domain.formats import sniff
from image_processor.domain.keys import check_key, image_id
from image_processor.domain.ports import Attributes
from image_processor.domain.similarity import find_record
from image_processor.renditions.urls import public_url

from .aws_target import AwsTarget, open_target
from .context import CommandContext, Library, command_context
from .options import Json, Profile, Quiet, Region, StackName
from .output import exit_status, printable
from .process_inputs import find_inputs, report_left_out
from .server_client import ServerClient

_BLOCK = 1024 * 1024
_MAX_BYTES = 5 * 1024**3
"""S3's limit for one PUT."""

_LOCAL = "http://127.0.0.1:8000"

Server = Annotated[
    str | None,
    typer.Option("--server", help="Address of the server.", show_default=f"IMGP_SERVER, or {_LOCAL}"),
]


class _Originals(Protocol):
    """Where originals are: a server or a bucket."""

    def upload(self, key: str, file: Path) -> str: ...
    def import_url(self, url: str, key: str | None) -> tuple[str, str]: ...
    def delete(self, key: str) -> None: ...


def upload_command(  # noqa: PLR0913, PLR0917 - one per option
    ctx: typer.Context,
    paths: Annotated[
        list[str],
        typer.Argument(
            help="Images, directories of images, or URLs that the server may fetch.",
            metavar="FILE|DIR|URL...",
        ),
    ],
    prefix: Annotated[str, typer.Option(help="Begins every key, such as `photos/`.")] = "",
    server: Server = None,
    stack: StackName = None,
    profile: Profile = None,
    region: Region = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Upload files and directories to a server, or with --stack to AWS, where they are processed.

    The keys are the paths below the directories. A server fetches URLs of its remote sources; their keys are
    those of the sources, or with --prefix the names of the files. IMGP_TOKEN is the token that a server asks
    for. Reports every file that is refused and continues.
    """
    context = command_context(ctx)

    def show(key: str, id_: str) -> None:
        if as_json:
            typer.echo(json.dumps({"key": key, "id": id_}, ensure_ascii=False))
        elif not quiet:
            typer.echo(printable(key))

    urls = [path for path in paths if _is_url(path)]
    if urls and stack is not None:
        raise Invalid.one("FILE|DIR|URL", "files with --stack, because only a server fetches", repr(urls[0]))
    files_given = [Path(path) for path in paths if not _is_url(path)]
    inputs = find_inputs(files_given, None, context.list_files, report_left_out) if files_given else []
    files = {prefix + item.upload(name).key: item.directory / name for item in inputs for name in item.names}
    for key in files:
        check_key(key)

    def send(name: str) -> None:
        if name in files:
            show(name, originals.upload(name, files[name]))
        else:
            show(*originals.import_url(name, _key_of(name, prefix)))

    with _open(context, server, stack, profile, region) as originals:
        _for_each([*files, *urls], send)


def _is_url(path: str) -> bool:
    return path.startswith(("http://", "https://"))


def _key_of(url: str, prefix: str) -> str | None:
    """The key of a URL's file below ``prefix``; None, which leaves it to the server, without one."""
    name = unquote(urlsplit(url).path.rpartition("/")[2])
    return prefix + name if prefix else None


def delete_command(
    ctx: typer.Context,
    keys: Annotated[
        list[str], typer.Argument(help="Keys or, of a server, ids of originals.", metavar="KEY...")
    ],
    server: Server = None,
    stack: StackName = None,
    profile: Profile = None,
    region: Region = None,
) -> None:
    """Delete originals and their renditions from a server, or with --stack from AWS."""
    context = command_context(ctx)
    with _open(context, server, stack, profile, region) as originals:
        _for_each(keys, originals.delete)


def open_command(
    ctx: typer.Context,
    key: Annotated[str, typer.Argument(help="Key or id of an original.", metavar="KEY")],
    server: Server = None,
    stack: StackName = None,
    profile: Profile = None,
    region: Region = None,
    only_print: Annotated[
        bool, typer.Option("--print", help="Print the address instead of opening a browser.")
    ] = False,
) -> None:
    """Open the page of an original on a server in the browser, or with --stack its largest rendition."""
    _check_place(server, stack, profile, region)
    if stack is not None:
        address = _rendition_address(open_target(stack, profile, region), command_context(ctx), key)
    else:
        with _client(server) as client:
            address = client.page_of(client.find(key))
    if only_print or not webbrowser.open(address):
        typer.echo(address)


def _rendition_address(target: AwsTarget, context: CommandContext, key: str) -> str:
    library = target.open_library(context)
    record = find_record(library.stores.catalog, library.bucket, key)
    urls = [
        (rendition.metadata.width * rendition.metadata.height, url)
        for rendition in record.renditions
        if (url := public_url(rendition, target.settings.public_url))
    ]
    if not urls:
        raise Invalid.one("KEY", "an original with a public rendition, on a stack with a CDN", repr(key))
    return max(urls)[1]


def _for_each(keys: Sequence[str], act: Callable[[str], object]) -> None:
    """Act on each key; report errors and continue. Exits with the status of the worst error."""
    errors = []
    for key in keys:
        try:
            act(key)
        except ImageProcessorError as error:
            errors.append(error)
            typer.echo(f"failed: {printable(key)}: {error}", err=True)
    if errors:
        raise typer.Exit(max(map(exit_status, errors)))


@contextmanager
def _open(
    context: CommandContext, server: str | None, stack: str | None, profile: str | None, region: str | None
) -> Iterator[_Originals]:
    _check_place(server, stack, profile, region)
    if stack is None:
        with _client(server) as client:
            yield _OnServer(client)
        return
    yield _InBucket(open_target(stack, profile, region).open_library(context))


def _check_place(server: str | None, stack: str | None, profile: str | None, region: str | None) -> None:
    if stack is None and (profile or region):
        raise Invalid.one("--stack", "a stack if there is --profile or --region", "none")
    if stack is not None and server is not None:
        raise Invalid.one("--server", "either --server or --stack", "both")


def _client(server: str | None) -> ServerClient:
    return ServerClient(server or os.environ.get("IMGP_SERVER") or _LOCAL, os.environ.get("IMGP_TOKEN"))


class _OnServer:
    """Originals of a server. A client may name them by id, too."""

    def __init__(self, client: ServerClient) -> None:
        self._client = client

    def upload(self, key: str, file: Path) -> str:
        return self._client.upload(key, file)

    def import_url(self, url: str, key: str | None) -> tuple[str, str]:
        return self._client.import_url(url, key)

    def delete(self, key: str) -> None:
        self._client.delete(self._client.find(key))


class _InBucket:
    """Originals of a stack: S3 notifies its queue of them."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def upload(self, key: str, file: Path) -> str:
        with file.open("rb") as body:
            first = body.read(_BLOCK)
            format_ = sniff(first)
            attributes = Attributes(format_.media_type) if format_ else Attributes()
            chunks = chain([first], iter(partial(body.read, _BLOCK), b""))
            self._library.stores.uploads.put_stream(key, chunks, attributes, limit=_MAX_BYTES)
        return image_id(self._library.bucket, key)

    def import_url(self, url: str, key: str | None) -> tuple[str, str]:
        raise NotImplementedError  # refused before

    def delete(self, key: str) -> None:
        uploads = self._library.stores.uploads
        try:
            uploads.head(key)
        except NotFound:
            raise NotFound(f"there is no original {key!r}") from None
        uploads.delete(key)
