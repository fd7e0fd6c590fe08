"""The file of settings, and what wins between it, the environment and the command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from image_processor.config.settings import ALL_SETTINGS, PREFIX, SettingSource, from_environment, sources
from image_processor.config.settings_file import DEFAULT_FILE, load_settings, read_settings_file
from image_processor.domain.errors import InvalidSettings


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(text: str) -> None:
    DEFAULT_FILE.write_text(text, encoding="utf-8")


def test_every_kind_of_value_means_what_the_variable_means() -> None:
    write("""
port = 9000
svg = true
hints = false
max_bytes = 5                       # MiB, as in the variable
allowed_hosts = ["a.example", "b.example"]
sizes = [320, 640]
cache_control = "no-cache"
dialects = ["next", "imgproxy"]
imgproxy_signature_bytes = 12
signing_keys = ["a:a-secret-of-the-server"]
""")
    variables = {
        "PORT": "9000",
        "SVG": "1",
        "HINTS": "0",
        "MAX_BYTES": "5",
        "ALLOWED_HOSTS": "a.example,b.example",
        "SIZES": "320,640",
        "CACHE_CONTROL": "no-cache",
        "DIALECTS": "next,imgproxy",
        "IMGPROXY_SIGNATURE_BYTES": "12",
        "SIGNING_KEYS": "a:a-secret-of-the-server",
    }
    expected = from_environment({PREFIX + name: text for name, text in variables.items()})
    settings = load_settings({}, {})
    for spec in ALL_SETTINGS:
        if spec.name != "CONFIG" and spec.field in settings.__struct_fields__:
            assert getattr(settings, spec.field) == getattr(expected, spec.field), spec.name
    assert settings.limits == expected.limits
    assert settings.dialect_settings == expected.dialect_settings
    assert "a-secret-of-the-server" not in repr(settings)


def test_an_option_wins_over_a_variable_over_the_file_over_the_default() -> None:
    write('host = "file.example"\nport = 1\nworkers = 1\n')
    environment = {PREFIX + "PORT": "2", PREFIX + "WORKERS": "2", "PATH": "/bin"}
    settings = load_settings(environment, {PREFIX + "WORKERS": "3"})
    assert (settings.host, settings.port, settings.workers) == ("file.example", 2, 3)
    found = {item.name.removeprefix(PREFIX): item.source for item in sources(settings)}
    assert found["HOST"] is SettingSource.FILE
    assert found["PORT"] is SettingSource.ENVIRONMENT
    assert found["WORKERS"] is SettingSource.COMMAND_LINE
    assert found["STOP_SECONDS"] is SettingSource.DEFAULT
    assert settings.config == DEFAULT_FILE


def test_the_file_is_named_by_option_or_variable_and_found_by_default() -> None:
    write("port = 1\n")
    Path("two.toml").write_text("port = 2\n")
    Path("three.toml").write_text("port = 3\n")
    variable, option = {PREFIX + "CONFIG": "two.toml"}, {PREFIX + "CONFIG": "three.toml"}
    assert [load_settings({}, {}).port, load_settings(variable, {}).port] == [1, 2]
    assert load_settings(variable, option).port == 3
    DEFAULT_FILE.unlink()
    assert (load_settings({}, {}).port, load_settings({}, {}).config) == (8000, None)
    with pytest.raises(InvalidSettings, match=r"a readable TOML file for missing\.toml"):
        load_settings({PREFIX + "CONFIG": "missing.toml"}, {})


def problems(text: str, environment: dict[str, str] | None = None) -> Iterator[str]:
    write(text)
    with pytest.raises(InvalidSettings) as caught:
        load_settings(environment or {}, {})
    return map(str, caught.value.problems)


def test_unknown_keys_are_refused_by_name_with_what_is_similar() -> None:
    first, second, third = problems("# a comment\nmaxbytes = 1\nzzz = 1\n[server]\nport = 1\n")
    assert first.startswith("line 2: expected a setting that exists, such as max_bytes")
    assert first.endswith("for maxbytes in image-processor.toml, got an unknown one")
    assert (
        second == "line 3: expected a setting that exists for zzz in image-processor.toml, got an unknown one"
    )
    assert third.startswith("line 4: expected a setting that exists")


def test_the_file_cannot_name_another_file() -> None:
    assert "got an unknown one" in next(problems('config = "other.toml"\n'))


@pytest.mark.parametrize("value", ["1.5", "2026-01-01", "{ a = 1 }", '[["a"]]', '["a,b"]', "[1.5]"])
def test_other_values_are_refused_without_being_shown(value: str) -> None:
    (problem,) = problems(f"signing_keys = {value}\n")
    assert problem.startswith("line 1: expected a text, number, true, false, or list of these (ID:SECRET")
    assert "a,b" not in problem


def test_invalid_values_are_named_as_they_are_written() -> None:
    (problem,) = problems('\nport = "high"\n')
    assert problem == "line 2: expected 0-65535 for port in image-processor.toml, got 'high'"
    (problem,) = problems("port = 1\n", {PREFIX + "PORT": "x"})
    assert problem == "expected 0-65535 for IMAGE_PROCESSOR_PORT, got 'x'"
    (problem,) = problems('signing_keys = "short"\n')
    assert "short" not in problem


def test_a_file_that_is_no_toml_is_refused_with_its_line() -> None:
    (problem,) = problems("port = = 1\n")
    assert "a readable TOML file for image-processor.toml" in problem
    assert "line 1" in problem


def test_lines_are_those_of_the_file() -> None:
    write("a = 1\n")
    with pytest.raises(InvalidSettings) as caught:
        read_settings_file(DEFAULT_FILE)
    assert [problem.line for problem in caught.value.problems] == [1]
