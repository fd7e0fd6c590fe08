"""A changed file of settings: what applies at once, what needs a restart, and what is invalid."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from image_processor.config.settings import Settings, SettingSource
from image_processor.config.settings_file import load_settings
from image_processor.domain.errors import InvalidSettings
from image_processor.standalone.live_settings import LiveSettings


@pytest.fixture(autouse=True)
def _restored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)


@pytest.fixture
def live() -> LiveSettings:
    write('log_level = "info"\nport = 1\nsigning_keys = "a:a-secret-of-the-server"\n')
    load = partial(load_settings, {}, {})
    return LiveSettings(load(), load)


def write(text: str) -> None:
    Path("image-processor.toml").write_text(text)


def test_the_log_changes_at_once(live: LiveSettings) -> None:
    assert live.reload() == frozenset()
    write('log_level = "debug"\nport = 1\nsigning_keys = "a:a-secret-of-the-server"\n')
    assert live.reload() == {"LOG_LEVEL"}
    assert logging.getLogger().level == logging.DEBUG
    assert live.reload() == frozenset()


def test_what_needs_a_restart_is_named_once_and_without_secrets(
    live: LiveSettings, caplog: pytest.LogCaptureFixture
) -> None:
    write(
        'port = 2\nsigning_keys = "a:a-secret-of-the-server"\ndialects = "thumbor"\nthumbor_key = "new-key"\n'
    )
    for _ in range(2):
        assert live.reload() == frozenset()
    names = "IMAGE_PROCESSOR_DIALECTS, IMAGE_PROCESSOR_PORT, IMAGE_PROCESSOR_THUMBOR_KEY"
    assert [record.getMessage() for record in caplog.records] == [f"start the server again to apply {names}"]
    assert live.current.port == 1


def test_settings_of_urls_are_told_as_soon_as_they_change(live: LiveSettings) -> None:
    told: list[Settings] = []
    live.follow_urls(told.append)
    write('port = 2\nsigning_keys = "b:another-secret-of-it"\nsizes = [320]\n')
    assert live.reload() == {"SIGNING_KEYS", "SIZES"}
    (settings,) = told
    assert settings is live.current
    assert (settings.sizes, settings.port) == ((320,), 1)
    assert settings.signing_keys == (("b", "another-secret-of-it"),)
    assert settings.origins["IMAGE_PROCESSOR_SIZES"] is SettingSource.FILE
    write('log_level = "info"\nport = 1\n')
    assert live.reload() == {"SIGNING_KEYS", "SIZES"}
    assert live.current.signing_keys == ()
    assert "IMAGE_PROCESSOR_SIZES" not in live.current.origins


def test_tokens_are_replaced_but_never_all_taken_away(live: LiveSettings) -> None:
    base = 'log_level = "info"\nport = 1\nsigning_keys = "a:a-secret-of-the-server"\n'
    one, two = f"read:one:{'a' * 64}", f"write:two:{'b' * 64}"
    for tokens in ([one], [one, two], [two]):
        write(f"{base}tokens = {tokens}\n")
        assert live.reload() == {"TOKENS"}
        assert list(map(str, live.current.all_tokens)) == tokens
    write(base)
    assert live.reload() == frozenset()
    assert list(map(str, live.current.all_tokens)) == [two]  # a restart looks at the address first


def test_invalid_settings_leave_the_previous_ones_in_force(
    live: LiveSettings, caplog: pytest.LogCaptureFixture
) -> None:
    write('log_level = "debug"\nport = "x"\n')
    for _ in range(2):
        with pytest.raises(InvalidSettings):
            live.reload()
    assert caplog.text.count("the previous ones stay in force") == 1
    assert "port in image-processor.toml" in str(live.error)
    write('log_level = "info"\nport = 1\nsigning_keys = "a:a-secret-of-the-server"\n')
    live.reload()
    assert live.error is None
