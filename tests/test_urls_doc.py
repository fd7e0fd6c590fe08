"""docs/urls.md: its recipes for signatures are right in every language, its tables are the code's."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from image_processor.api.error_status import delivery_status
from image_processor.config.settings import PREFIX, URL_SETTINGS, SettingSpec, dialect_settings
from image_processor.delivery.policy import Policy
from image_processor.delivery.url.parameter_names import ALIASES
from image_processor.delivery.url.parser import parse_url
from image_processor.delivery.url.signing import Keyring
from image_processor.domain.errors import Forbidden, NotWritable, SignatureMissing

DOCS = Path(__file__).parents[1] / "docs"
TEXT = (DOCS / "urls.md").read_text(encoding="utf-8")
KEY, SECRET = "photos/ä cat.jpg", "a-secret-of-16-signs"
PARAMETERS = {"w": "500", "fm": "auto", "blur": "3", "expires": "1900000000"}


def block(language: str, part: str) -> str:
    blocks = re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    return next(block for block in blocks if part in block)


def expected() -> str:
    address = parse_url("photos/%C3%A4%20cat.jpg", "w=500&fm=auto&blur=3")
    return Keyring({"a": SECRET.encode()}).sign(address, 1_900_000_000).mac


def test_the_recipe_in_python() -> None:
    names: dict[str, object] = {}
    exec(block("python", "def sign"), names)
    sign = names["sign"]
    assert callable(sign)
    assert sign(KEY, PARAMETERS, "a", SECRET) == expected()


def test_the_recipe_in_javascript() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is missing")
    call = f"console.log(sign({KEY!r}, {PARAMETERS!r}, 'a', {SECRET!r}));"
    script = block("javascript", "function sign") + call
    done = subprocess.run([node, "-e", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expected()


def test_the_recipe_in_a_shell() -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is missing")
    pairs = "&".join(f"{name}={value}" for name, value in sorted({**PARAMETERS, "kid": "a"}.items()))
    script = f"{block('sh', 'sign()')}\nsign '{KEY}?{pairs}' '{SECRET}'"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expected()


def test_every_code_of_a_signature_is_told_with_its_status() -> None:
    # A recipe that may not be written is of no URL of renditions.
    kinds = [SignatureMissing, *(kind for kind in Forbidden.__subclasses__() if kind is not NotWritable)]
    assert len(kinds) >= 5
    for kind in kinds:
        assert f"| {delivery_status(kind(''))} | `{kind.code}` |" in TEXT


@pytest.mark.parametrize(
    ("anchor", "title", "rows"),
    [
        ("renditions-by-url", "## Renditions by URL", URL_SETTINGS),
        ("urls-of-other-products", "## URLs of other products", dialect_settings()),
    ],
)
def test_the_settings_of_urls_are_in_the_tables_that_the_page_links(
    anchor: str, title: str, rows: tuple[SettingSpec, ...]
) -> None:
    """They are not repeated: a second table would need each change, too."""
    assert f"](settings.md#{anchor})" in TEXT
    table = (
        (DOCS / "settings.md").read_text(encoding="utf-8").partition(f"{title}\n")[2].partition("\n## ")[0]
    )
    assert [row.name for row in rows if f"`{PREFIX}{row.name}`" not in table] == []
    assert f"\n| `{PREFIX}" not in TEXT


def test_the_aliases_and_steps_are_those_of_the_code() -> None:
    paragraph = TEXT.partition("## Parameters")[2].partition("One meaning")[0]
    american = {"gray", "greyscale", "color", "colors"}  # other spellings need no telling
    assert [name for name in ALIASES if f"`{name}`" not in paragraph and name not in american] == []
    steps = ", ".join(map(str, Policy().hint_widths[:-1])) + f" or {Policy().hint_widths[-1]} pixels"
    assert steps in TEXT
