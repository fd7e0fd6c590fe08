"""What the commands need from the rest of the system, as a protocol that `bootstrap` fills.

typer hands it to every command as `ctx.obj`. Its methods import what they need when they are called, so
that `--help` and `--version` stay fast.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    import typer  # missing without the extra `cli`, which `cli.main` reports

    from image_processor.config.recipe import Recipe
    from image_processor.config.settings import Settings
    from image_processor.delivery.policy import Policy
    from image_processor.domain.models import ImageMetadata, Record, Upload
    from image_processor.domain.ports import Catalog, EventQueue, Renderer, Stores
    from image_processor.ingest.reconcile import Reconciler
    from image_processor.standalone.workers import Workers


class Library(Struct, frozen=True):
    """One library with its recipe. ``bucket`` is the name of the upload side, ``threads`` how many requests
    may wait for its stores at a time."""

    bucket: str
    stores: Stores
    recipe: Recipe
    threads: int = 1


class FileListing(Struct, frozen=True):
    """The files below a directory: ``keys`` can be uploads; ``skipped`` are no regular files, or have names
    that are not UTF-8."""

    keys: tuple[str, ...]
    skipped: tuple[str, ...]


class RepairedCatalog(Protocol):
    """What a repair has kept, and where the damaged file is now."""

    @property
    def records(self) -> int: ...
    @property
    def events(self) -> int: ...
    @property
    def damaged(self) -> Path: ...


class CommandContext(Protocol):
    """Opens the parts of the system that a command works with."""

    def start_renderer(self) -> None:
        """Start an isolated child and return at once: it loads libvips while the options are parsed. The
        next renderer or worker that is opened uses it. Raises Unavailable."""
        ...

    def open_renderer(self, settings: Settings) -> AbstractContextManager[Renderer]:
        """What renders in an isolated child, with the sandbox and the fonts of the settings."""
        ...

    def check_remote_sources(self, settings: Settings) -> Mapping[str, str]:
        """Each remote source, and whether its host may be connected to. Asks name servers."""
        ...

    def open_stores(self, settings: Settings) -> AbstractContextManager[Stores]:
        """The directories and the catalog of this machine, created if missing. Raises Unavailable."""
        ...

    def open_directories(
        self, roots: Collection[str], out: Path
    ) -> AbstractContextManager[Mapping[str, Stores]]:
        """Stores for each of the ``roots``, with renditions in ``out`` and a catalog in memory."""
        ...

    def list_files(self, root: Path) -> FileListing:
        """The files below the directory ``root``."""
        ...

    def read_metadata(self, settings: Settings, file: Path) -> ImageMetadata | None:
        """What the header of an image says; None for a file that is refused or cannot be read."""
        ...

    def watch(
        self, roots: Sequence[Path], catalog: Catalog, submit: Callable[[Upload], object]
    ) -> AbstractContextManager[object]:
        """Calls ``submit``, from threads, with what is added, changed or deleted below the ``roots``. The
        bucket of an upload is its root."""
        ...

    def open_aws_library(self, settings: Settings, session: Any, recipe: Recipe | None = None) -> Library:
        """The buckets and the table that the settings name, opened with a boto3 session; with the recipe
        that they name, unless one is given.

        Raises InvalidSettings, also without a table; InvalidRecipe.
        """
        ...

    def open_queue(self, settings: Settings, session: Any) -> Callable[[Sequence[Upload]], int]:
        """Adds uploads to the ingest queue that the settings name. Raises InvalidSettings."""
        ...

    def open_workers(  # noqa: PLR0913 - one for each decision of a command
        self,
        settings: Settings,
        recipe: Recipe,
        stores: Mapping[str, Stores],
        role: str,
        next_try: str,
        session: Any | None = None,
        *,
        summary: bool = True,
        expected_uploads: int = 1,
    ) -> AbstractContextManager[Workers]:
        """Started workers on the stores of each bucket. ``role`` is the prefix of their leases' owner,
        ``next_try`` says in messages what will try a failed upload again. With a ``session`` of AWS they send
        the events and invalidations that the settings ask for, as the functions do. Without ``summary``
        they compute no visual summaries and no digests of originals. As many of them as
        ``expected_uploads`` need start at once.

        Raises UnsafeRuntime, InvalidSettings, InvalidRecipe.
        """
        ...

    def build_reconciler(
        self, settings: Settings, library: Library, session: Any | None = None
    ) -> Reconciler:
        """Compares a library, or one key of it, with its recipe. With a ``session`` of AWS it has the CDN
        forget what it deletes."""
        ...

    def build_policy(self, settings: Settings) -> Policy:
        """Which URLs are served, and with which signing keys."""
        ...

    def image_json(self, record: Record) -> str:
        """A record as one line of JSON, with the fields of the API's image."""
        ...

    def open_event_queue(self, settings: Settings) -> AbstractContextManager[EventQueue]:
        """The events of this machine's library that wait to be sent. Raises Invalid without a library."""
        ...

    def catalog_file(self, settings: Settings) -> Path:
        """The path of this machine's catalog."""
        ...

    def back_up(self, catalog: Path, file: Path) -> int:
        """Copy the catalog into ``file``; returns the number of records."""
        ...

    def restore(self, file: Path, catalog: Path) -> int:
        """Replace the catalog by the backup in ``file``; returns the number of records."""
        ...

    def find_catalog_damage(self, catalog: Path) -> str | None:
        """What is wrong with the file; None if it is intact or does not exist. Raises Unavailable."""
        ...

    def coordinator(self, settings: Settings) -> str | None:
        """The server over the table of ``settings`` that searches for lost work; None without a table, or if
        no server has run within seconds. Raises Unavailable, InvalidSettings."""
        ...

    def bucket_mark(self, settings: Settings) -> str:
        """The mark in the buckets of ``settings``, in words: which server works there, and whether with this
        catalog. Raises Unavailable, InvalidSettings, MissingExtra."""
        ...

    def stack_mark(self, settings: Settings, session: Any) -> str:
        """The same for the buckets of a stack: only a server over its table may work there. Raises as
        `open_aws_library`, and Unavailable."""
        ...

    def repair_catalog(self, catalog: Path) -> RepairedCatalog:
        """Move the damaged file aside, and keep what can be read of it in a new one. Raises Unavailable."""
        ...

    def data_dir_lock(self, data: Path) -> AbstractContextManager[object]:
        """Keeps servers away from the data directory. Raises Unavailable while one runs."""
        ...

    def open_server(
        self, settings: Settings, load: Callable[[], Settings]
    ) -> AbstractContextManager[Callable[[socket.socket], None]]:
        """The running system, and a function that answers requests on a listener until a signal. ``load``
        reads the settings again and raises InvalidSettings."""
        ...


def command_context(ctx: typer.Context) -> CommandContext:
    """The context that the program was started with."""
    context: CommandContext = ctx.obj
    return context
