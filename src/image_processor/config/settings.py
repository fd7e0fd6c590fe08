"""Reads the environment into `Settings`, once, at the start of the program.

Every setting is one environment variable and one row of the tables in `setting_specs`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any

from msgspec import Struct, field

from image_processor.domain.errors import InvalidSettings, Problem
from image_processor.domain.models import ExifField, IccPolicy, Limits, SandboxPolicy
from image_processor.domain.redaction import redacted_repr

from .log_options import LogFormat, LogLevel
from .setting_specs import (
    ALL_SETTINGS,
    AWS_SETTINGS,
    GENERAL_SETTINGS,
    LIMIT_SETTINGS,
    REMOTE_SETTINGS,
    URL_SETTINGS,
    SettingSpec,
    dialect_settings,
)
from .tokens import Token

__all__ = [
    "ALL_SETTINGS",
    "AWS_SETTINGS",
    "GENERAL_SETTINGS",
    "LIMIT_SETTINGS",
    "PREFIX",
    "REMOTE_SETTINGS",
    "URL_SETTINGS",
    "SettingSpec",
    "Settings",
    "dialect_settings",
    "effective",
    "from_environment",
]

PREFIX = "IMAGE_PROCESSOR_"
"""The prefix of the environment variables."""

_SECRET_FIELDS = frozenset(
    {"origins", "signing_keys", "webhook_secret", "dialect_settings", "tokens", "tokens_file"}
)


class SettingSource(StrEnum):
    """Where the value of a setting comes from, the weakest first."""

    DEFAULT = "default"
    FILE = "file"
    ENVIRONMENT = "environment"
    COMMAND_LINE = "command line"


class Settings(Struct, frozen=True):
    """All settings of a deployment. The defaults are safe on one machine.

    `setting_specs` describes each field. Sizes are in bytes, durations in seconds. The `repr` leaves
    secrets out.
    """

    config: Path | None = None
    data: Path = Path("data")
    upload_bucket: str | None = None
    processed_bucket: str | None = None
    upload_prefix: str = ""
    table: str | None = None
    recipe: str | None = None
    recipe_writable: bool = False
    host: str = "127.0.0.1"
    port: int = 8000
    allowed_hosts: tuple[str, ...] = ()
    api_origins: tuple[str, ...] = ()
    tokens: tuple[Token, ...] = ()
    tokens_file: tuple[Token, ...] = ()
    allow_anonymous: bool = False
    unconditional_writes: bool = False
    public_url: str | None = None
    distribution: str | None = None
    invalidation_queue: str | None = None
    event_bus: str | None = None
    queue: str | None = None
    dead_letters: str | None = None
    reconcile_backlog: int = 3000
    workers: int = 0
    cache_control: str = "public, max-age=3600, stale-while-revalidate=86400"
    icc: IccPolicy = IccPolicy.STRIP
    exif: tuple[ExifField, ...] = ()
    limits: Limits = field(default_factory=Limits)
    log_format: LogFormat = LogFormat.CONSOLE
    log_level: LogLevel = LogLevel.INFO
    log_hits: bool = False
    sweep_seconds: int = 300
    deletion_limit: int = 50
    stop_seconds: int = 15
    sandbox: SandboxPolicy = SandboxPolicy.AUTO
    server_processes: int = 0
    event_streams: int = 100
    event_streams_per_client: int = 20
    min_free_bytes: int | None = None
    resumable_hours: int = 24
    webhook_url: str | None = None
    webhook_secret: tuple[bytes, ...] = ()
    webhook_days: int = 3
    fonts: Path | None = None
    overlays: str | None = None
    signing_keys: tuple[tuple[str, str], ...] = ()
    allow_unsigned: bool = False
    sizes: tuple[int, ...] = ()
    hints: bool = False
    fallback: str | None = None
    cors_origin: str | None = None
    renditions_per_original: int = 200
    missing_seconds: int = 60
    delivery_queue: int = 64
    cache_bytes: int = 10 * 1024**3
    decoded_bytes: int = 256 * 1024**2
    dialects: tuple[str, ...] = ()
    dialect_auto: bool = False
    dialect_lenient: bool = False
    buckets: tuple[str, ...] = ()
    remote_sources: tuple[str, ...] = ()
    remote_private: tuple[str, ...] = ()
    remote_timeout_seconds: int = 20
    remote_connections: int = 4
    remote_min_seconds: int = 300
    remote_max_seconds: int = 7 * 86_400
    remote_failure_seconds: int = 60
    dialect_settings: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """The settings of the dialects themselves, by field name. Left out: those that are not set."""

    origins: Mapping[str, SettingSource] = field(default_factory=lambda: MappingProxyType({}))
    """Where the values come from, by the name of the variable. Left out: defaults."""

    def __repr__(self) -> str:
        return redacted_repr(self, _SECRET_FIELDS)

    @property
    def lease_seconds(self) -> int:
        """The duration of a lease on one upload.

        It is longer than the slowest render that the limits allow, so that two workers rarely do the
        same work, and short enough that the queue's next delivery of a message finds the lease of a
        dead worker expired.
        """
        return 4 * self.limits.cpu_seconds + 60

    @property
    def all_tokens(self) -> tuple[Token, ...]:
        """The tokens of both settings. Without any, everybody may use the API."""
        return (*self.tokens, *self.tokens_file)

    @property
    def uses_buckets(self) -> bool:
        """Whether originals and renditions are in two buckets, and not in directories of this machine."""
        return self.upload_bucket is not None or self.processed_bucket is not None

    @property
    def server_process_count(self) -> int:
        """The number of processes that answer requests: ``server_processes``, or one per core if it is 0."""
        return self.server_processes or os.cpu_count() or 1

    @property
    def hit_log_format(self) -> str | None:
        """The format of a line for each response from memory; None without such lines."""
        is_logged = self.log_hits and self.log_level in {LogLevel.DEBUG, LogLevel.INFO}
        return self.log_format.value if is_logged else None

    @property
    def worker_count(self) -> int:
        """The number of workers: ``workers``, or one per core if it is 0."""
        return self.workers or os.cpu_count() or 1


def from_environment(environment: Mapping[str, str]) -> Settings:
    """The settings in ``environment``.

    Raises InvalidSettings with every problem found. An unknown variable with our prefix is a problem
    too: otherwise a misspelt limit would be no limit.
    """
    problems = _unknown_variables(environment)
    values = _read((*GENERAL_SETTINGS, *URL_SETTINGS, *REMOTE_SETTINGS, *AWS_SETTINGS), environment, problems)
    limits = _read(LIMIT_SETTINGS, environment, problems)
    of_dialects = _read(dialect_settings(), environment, problems)
    if problems:
        raise InvalidSettings(problems)
    return Settings(**values, limits=Limits(**limits), dialect_settings=MappingProxyType(of_dialects))


def effective(settings: Settings, specs: Sequence[SettingSpec]) -> Iterator[tuple[SettingSpec, str]]:
    """Each of ``specs`` with its current value, written as in the environment. Secrets are masked."""
    for spec in specs:
        value = _value(settings, spec)
        if spec.secret:
            yield spec, "(set)" if value else ""
        else:
            yield spec, _format(value if spec.unit == 1 or value is None else value // spec.unit)


class SettingInForce(Struct, frozen=True):
    """A setting by the name of its variable, with its value as `effective` writes it."""

    name: str
    meaning: str
    value: str
    source: SettingSource


def sources(settings: Settings) -> Iterator[SettingInForce]:
    """Every setting, with its value and where that comes from."""
    for spec, value in effective(settings, ALL_SETTINGS):
        name = PREFIX + spec.name
        yield SettingInForce(name, spec.meaning, value, settings.origins.get(name, SettingSource.DEFAULT))


def _value(settings: Settings, spec: SettingSpec) -> Any:
    for owner in (settings, settings.limits):
        if spec.field in owner.__struct_fields__:
            return getattr(owner, spec.field)
    return settings.dialect_settings.get(spec.field, spec.default)


def _read(
    specs: Sequence[SettingSpec], environment: Mapping[str, str], problems: list[Problem]
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for spec in specs:
        text = environment.get(PREFIX + spec.name)
        if text is None:
            continue
        try:
            value = spec.read(text)
        except ValueError:
            got = "something else" if spec.secret else repr(text)
            problems.append(Problem(PREFIX + spec.name, spec.expected, got))
        else:
            values[spec.field] = value * spec.unit if spec.unit != 1 else value
    return values


def _unknown_variables(environment: Mapping[str, str]) -> list[Problem]:
    known = {spec.name for spec in (*ALL_SETTINGS, *dialect_settings())}
    names = (name.removeprefix(PREFIX) for name in sorted(environment) if name.startswith(PREFIX))
    return [
        Problem(PREFIX + name, expected_name(name, known, PREFIX), "an unknown one")
        for name in names
        if name not in known
    ]


def expected_name(unknown: str, known: Iterable[str], prefix: str = "") -> str:
    """What an error message expects in place of the setting ``unknown``: it names those of the ``known`` ones
    that are similar, with the ``prefix``."""
    from difflib import get_close_matches  # noqa: PLC0415 - for error messages only

    similar = [prefix + name for name in get_close_matches(unknown, known, n=2)]
    return "a setting that exists" + (f", such as {' or '.join(similar)}" if similar else "")


def _format(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, bool):
        return str(int(value))
    return "" if value is None else str(value)
