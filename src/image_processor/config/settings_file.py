"""Reads the file of settings, and decides between it, the environment and the command line.

The file is TOML: each key is a setting in lower case. Its values become the texts of variables, so that every
setting is read and checked in one way.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from image_processor.domain.errors import InvalidSettings, Problem

from .setting_specs import ALL_SETTINGS
from .settings import PREFIX, Settings, SettingSource, expected_name, from_environment
from .toml_errors import TomlLines

DEFAULT_FILE = Path("image-processor.toml")
"""What is read if neither an option nor the variable names a file, and it exists."""

_CONFIG = PREFIX + "CONFIG"
_KEYS = {spec.name.lower(): spec for spec in ALL_SETTINGS if spec.name != "CONFIG"}


class SettingsFile(Struct, frozen=True):
    """The settings of a file, as variables, and the line of each."""

    path: Path
    variables: Mapping[str, str]
    lines: Mapping[str, int | None]


def load_settings(environment: Mapping[str, str], options: Mapping[str, str]) -> Settings:
    """The settings of the options, which are written as variables; else of the environment; else of the file;
    else the defaults.

    Raises InvalidSettings, in which what comes from an option or the file is named as it is written there.
    """
    file = _file(environment, options)
    known = {name: text for name, text in environment.items() if name.startswith(PREFIX)}
    variables = {**file.variables, **known, **options}
    try:
        settings = from_environment(variables)
    except InvalidSettings as error:
        problems = [_located(problem, file, known, options) for problem in error.problems]
        raise InvalidSettings(problems) from None
    origins = {
        **dict.fromkeys(file.variables, SettingSource.FILE),
        **dict.fromkeys(known, SettingSource.ENVIRONMENT),
        **dict.fromkeys(options, SettingSource.COMMAND_LINE),
    }
    config = file.path if file.path != Path() else None
    return replace(settings, config=config, origins=MappingProxyType(origins))


def read_settings_file(path: Path) -> SettingsFile:
    """The settings in a TOML file. Raises InvalidSettings with every problem and its line."""
    try:
        text = path.read_text(encoding="utf-8")
        table = tomllib.loads(text)
    except OSError as error:
        raise InvalidSettings([Problem(str(path), "a readable TOML file", str(error.strerror))]) from error
    except (ValueError, RecursionError) as error:
        raise InvalidSettings([Problem(str(path), "a readable TOML file", str(error))]) from error
    lines = TomlLines(text)
    problems = list(_problems(table, path, lines))
    if problems:
        raise InvalidSettings(sorted(problems, key=lambda problem: problem.line or 0))
    variables = {PREFIX + name.upper(): _text(value) for name, value in table.items()}
    return SettingsFile(path, variables, {PREFIX + name.upper(): lines.line_of(name) for name in table})


def _file(environment: Mapping[str, str], options: Mapping[str, str]) -> SettingsFile:
    """The file that is in force; an empty one if there is none."""
    named = options.get(_CONFIG, environment.get(_CONFIG))
    if named is not None:
        return read_settings_file(Path(named))
    return read_settings_file(DEFAULT_FILE) if DEFAULT_FILE.is_file() else SettingsFile(Path(), {}, {})


def _problems(table: Mapping[str, Any], path: Path, lines: TomlLines) -> Iterator[Problem]:
    for name, value in table.items():
        where, line = f"{name} in {path}", lines.line_of(name)
        if name not in _KEYS:
            yield Problem(where, expected_name(name.lower(), _KEYS), "an unknown one", line)
        elif not _is_value(value):
            expected = f"a text, number, true, false, or list of these ({_KEYS[name].expected})"
            yield Problem(where, expected, _kind(value), line)


def _is_value(value: Any) -> bool:
    if isinstance(value, list):
        # A comma separates the items of the variable.
        return all(_is_value(item) and not isinstance(item, list) and "," not in str(item) for item in value)
    return isinstance(value, str | int | bool)


def _kind(value: Any) -> str:
    """What a value is that no setting can have. Not the value itself, which may be a secret."""
    if isinstance(value, dict):
        return "a table"
    return (
        "a list of something else, or with a comma in an item"
        if isinstance(value, list)
        else "something else"
    )


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(_text, value))
    return str(int(value)) if isinstance(value, bool) else str(value)


def _located(
    problem: Problem, file: SettingsFile, environment: Mapping[str, str], options: Mapping[str, str]
) -> Problem:
    """The problem, named as the option or the key of the file that it is about."""
    name = problem.name.removeprefix(PREFIX).lower()
    if problem.name in options:
        return replace(problem, name="--" + name.replace("_", "-"))
    if problem.name in environment or problem.name not in file.variables:
        return problem
    return replace(problem, name=f"{name} in {file.path}", line=file.lines[problem.name])
