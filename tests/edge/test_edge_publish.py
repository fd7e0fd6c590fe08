"""Publishing recipe and settings to the key value store, within its quotas."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import publish
import pytest
from publish import changes, entries

from image_processor.config.recipe import DEFAULT_RECIPE, parse_recipe
from image_processor.config.settings import PREFIX, Settings

ARN = "arn:aws:cloudfront::111122223333:key-value-store/a"
SECRET = "correct-horse-battery-staple"
KEYS = Settings(signing_keys=(("new", SECRET), ("old", "staple-battery-horse")))

RECIPE = parse_recipe("""
[presets.small]
widths = [10, 20]
formats = ["webp", "jpeg"]
[presets.card]
width = 30
formats = ["jpeg"]
[presets.inner]
public = false
width = 40
formats = ["jpeg"]
[[rules]]
match = "cards/**"
presets = ["card", "small", "inner"]
[[rules]]
match = "**"
presets = ["small"]
""")


class Service:
    """The KeyValueStore service: one writer at a time, and its quotas."""

    def __init__(self, **stored: str) -> None:
        self.stored = {key.replace("_", "/"): value for key, value in stored.items()}
        self.version = 1
        self.updates: list[Mapping[str, Any]] = []

    def __call__(self, operation: str, given: Mapping[str, Any]) -> dict[str, Any]:
        assert given["KvsARN"] == ARN
        if operation == "list-keys":
            return {"Items": [{"Key": key, "Value": value} for key, value in self.stored.items()]}
        if operation == "update-keys":
            assert given["IfMatch"] == f"E{self.version}"
            assert 1 <= len(given["Puts"]) + len(given["Deletes"]) <= 50
            self.updates.append(given)
            self.version += 1
            for put in given["Puts"]:
                self.stored[put["Key"]] = put["Value"]
            for delete in given["Deletes"]:
                del self.stored[delete["Key"]]
        return {"ETag": f"E{self.version}"}


def test_published_names_are_the_public_ones() -> None:
    assert entries(RECIPE, Settings()) == {
        "names": "1",
        "p/small": "webp",
        "p/card": "some",
        "n/w=10,fm=webp.webp": "all",
        "n/w=10,fm=jpeg.jpg": "all",
        "n/w=20,fm=webp.webp": "all",
        "n/w=20,fm=jpeg.jpg": "all",
        "n/w=30,fm=jpeg.jpg": "some",
        **{f"n/w={width}": "some" for width in (10, 20, 30)},
        # The formats to negotiate.
        "n/w=10,fm=auto": "webp",
        "n/w=20,fm=auto": "webp",
        "n/w=30,fm=auto": "some",
    }


def test_a_name_public_for_some_originals_is_not_public_for_all() -> None:
    recipe = parse_recipe(DEFAULT_RECIPE.replace('match = "**"', 'match = "photos/**"'))
    assert set(entries(recipe, Settings()).values()) == {"some", "avif", "1"}


def test_settings_add_entries() -> None:
    assert entries(RECIPE, Settings(allow_unsigned=True)) == {"unsigned": "1"}
    assert entries(RECIPE, Settings(allow_unsigned=True, dialects=("thumbor",))) == {
        "unsigned": "1",
        "dialects": "1",
    }
    found = entries(RECIPE, Settings(allow_unsigned=True, hints=True, signing_keys=KEYS.signing_keys))
    assert found == {
        "k/new": SECRET,
        "k/old": "staple-battery-horse",
        "unsigned": "1",
        "hints": "160,320,480,640,960,1280,1920,2560,3840",
    }


def test_quota_errors_show_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "MAX_VALUE", 20)
    with pytest.raises(ValueError, match="got a signing key"):
        entries(RECIPE, KEYS)
    monkeypatch.undo()
    monkeypatch.setattr(publish, "MAX_TOTAL", 100)
    with pytest.raises(ValueError, match="expected at most 100 bytes in the store, got"):
        entries(RECIPE, KEYS)


def test_a_name_that_is_too_long_is_left_out() -> None:
    text = "A" * 150
    recipe = parse_recipe(f"""
[presets.long]
width = 10
formats = ["jpeg"]
overlays = [{{text = "{text}"}}, {{text = "{text}"}}]
[[rules]]
match = "**"
presets = ["long"]
""")
    names = [key for key in entries(recipe, Settings()) if key.startswith("n/")]
    assert len(names) == 1
    assert names[0].startswith("n/long=")


def test_lists_are_complete_while_marked_complete() -> None:
    small, large = entries(RECIPE, Settings()), entries(parse_recipe(DEFAULT_RECIPE), Settings())
    for before, after in (({}, large), (small, large), (large, {}), (large, small)):
        stored = dict(before)
        for key, value in changes(after, before):
            if value is None:
                del stored[key]
            else:
                stored[key] = value
            complete = stored.keys() >= after.keys() or stored.keys() >= before.keys()
            assert complete or "names" not in stored
        assert stored == after


def test_only_differences_are_written_and_deleted() -> None:
    service = Service(k_old="something", n_w=("gone"), hints="1")
    wanted = entries(RECIPE, KEYS)
    assert publish.publish(wanted, ARN, service) == len(wanted) + 2
    assert service.stored == wanted
    assert publish.publish(wanted, ARN, service) == 0
    del wanted["k/old"]
    assert publish.publish(wanted, ARN, service) == 1
    assert service.stored == wanted


@pytest.mark.parametrize(
    ("wanted", "stored", "message"),
    [
        ({"n/a": "all"}, {"k_new": SECRET, "k_old": SECRET}, "expected signing keys .* while it holds 2"),
        ({}, {"n_a": "all", "names": "1"}, "expected entries .* while it holds 2"),
    ],
)
def test_the_last_keys_or_entries_are_deleted_only_on_request(
    wanted: Mapping[str, str], stored: dict[str, str], message: str
) -> None:
    service = Service(**stored)
    with pytest.raises(ValueError, match=message) as raised:
        publish.publish(wanted, ARN, service)
    assert service.updates == []
    assert SECRET not in str(raised.value)
    publish.publish(wanted, ARN, service, may_empty=True)
    assert service.stored == wanted


def test_the_command_deletes_the_last_keys_only_with_allow_empty(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    service = Service(k_a=SECRET)
    assert run(monkeypatch, "--store", ARN, call=service) == 2
    assert "publish.py with --allow-empty" in capsys.readouterr().err
    assert run(monkeypatch, "--store", ARN, "--allow-empty", call=service) == 0
    assert "k/a" not in service.stored


def test_large_changes_are_written_in_batches() -> None:
    service = Service()
    wanted = {f"n/{number}": "some" for number in range(120)}
    publish.publish(wanted, ARN, service)
    assert [len(update["Puts"]) for update in service.updates] == [50, 50, 20]
    publish.publish({}, ARN, service, may_empty=True)
    assert service.stored == {}


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str, call: publish.Call, **settings: str) -> int:
    monkeypatch.setattr(publish.os, "environ", {PREFIX + name: value for name, value in settings.items()})
    return publish.main(list(arguments), call)


def test_the_command_prints_numbers_and_no_secret(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    service = Service()
    assert run(monkeypatch, "--store", ARN, call=service, SIGNING_KEYS=f"a:{SECRET}") == 0
    assert service.stored["k/a"] == SECRET
    told = capsys.readouterr()
    assert "1 signing keys, 20 names, 2 presets; 24 entries changed" in told.out
    assert SECRET not in told.out + told.err


def test_without_a_store_it_only_validates(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text("[presets.small]\nwidht = 3\n")
    assert run(monkeypatch, call=pytest.fail) == 0
    assert run(monkeypatch, "--recipe", str(recipe), call=pytest.fail) == 2
    assert run(monkeypatch, "--recipe", str(tmp_path / "none.toml"), call=pytest.fail) == 2
    assert run(monkeypatch, call=pytest.fail, SIGNING_KEYS=f"{SECRET}") == 2
    told = capsys.readouterr().err
    assert "widht" in told
    assert "none.toml" in told
    assert SECRET not in told


def test_secrets_are_passed_in_a_private_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    stub = tmp_path / "aws"
    stub.write_text(
        f'#!/bin/sh\necho "$@" >"{tmp_path}/call"\nstat -c %a "${{4#file://}}" >&2\ncat "${{4#file://}}"\n'
    )
    stub.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    given = {"Puts": [{"Key": "k/a", "Value": SECRET}]}
    assert publish.aws("update-keys", given) == given
    call = (tmp_path / "call").read_text().split()
    assert call[:3] == ["cloudfront-keyvaluestore", "update-keys", "--cli-input-json"]
    assert call[4:] == ["--output", "json"]
    assert not Path(call[3].removeprefix("file://")).exists()
    assert capfd.readouterr().err == "600\n"
    stub.write_text("#!/bin/sh\necho no such store >&2\nexit 254\n")
    with pytest.raises(ValueError, match="update-keys to succeed, got 254"):
        publish.aws("update-keys", given)
    assert SECRET not in "".join(capfd.readouterr())
