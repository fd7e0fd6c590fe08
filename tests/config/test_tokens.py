"""Tokens: hashed lines in the settings, and which texts they stand for."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from image_processor.config.setting_specs import GENERAL_SETTINGS
from image_processor.config.settings import PREFIX, Settings, effective, from_environment
from image_processor.config.tokens import Scope, Token, create_token, find_token
from image_processor.domain.errors import InvalidSettings

DIGEST = "a" * 64


def test_a_scope_covers_those_before_it() -> None:
    covered = {scope: [needed.value for needed in Scope if scope.covers(needed)] for scope in Scope}
    assert covered == {
        Scope.READ: ["read"],
        Scope.WRITE: ["read", "write"],
        Scope.ADMIN: ["read", "write", "admin"],
    }


def test_only_the_hash_of_a_token_is_known() -> None:
    text, token = create_token(Scope.WRITE, "editors")
    assert str(token) == f"write:editors:{hashlib.sha256(text.encode()).hexdigest()}"
    assert text not in repr(token)
    assert len(text) == 48  # imgp_ and 256 bits in base64
    assert create_token(Scope.WRITE)[0] != text
    settings = from_environment({PREFIX + "TOKENS": str(token)})
    assert settings.all_tokens == (token,)
    assert token.digest not in repr(settings)
    shown = {spec.name: value for spec, value in effective(settings, GENERAL_SETTINGS)}
    assert shown["TOKENS"] == "(set)"


def test_a_token_is_found_by_its_text_alone() -> None:
    made = [create_token(scope, scope) for scope in Scope]
    tokens = [token for _, token in made]
    for text, token in made:
        assert find_token(tokens, text) == token
        for wrong in (text[:-1], text + "A", text.upper(), " " + text, token.digest, str(token), ""):
            assert find_token(tokens, wrong) is None
    assert find_token([], made[0][0]) is None


def test_what_is_no_token_is_not_one_even_if_somebody_hashed_it() -> None:
    password = Token(Scope.ADMIN, "weak", hashlib.sha256(b"secret").hexdigest())
    assert find_token([password], "secret") is None


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "read:a",
            f"root:a:{DIGEST}",
            f"read:a b:{DIGEST}",
            f"read:a:{'g' * 64}",
            f"read::{DIGEST}",
        ),
        f"read:a:{'g' * 64}",
        *(f"read:a:{DIGEST},write:a:{'b' * 64}", f"read:a:{DIGEST},x", "imgp_" + "A" * 43),
    ],
)
def test_a_line_that_is_none_is_an_error_that_does_not_repeat_it(text: str, tmp_path: Path) -> None:
    file = tmp_path / "tokens.txt"
    file.write_text(text.replace(",", "\n"), encoding="utf-8")
    for name, value in (("TOKENS", text), ("TOKENS_FILE", str(file))):
        with pytest.raises(InvalidSettings) as caught:
            from_environment({PREFIX + name: value})
        assert "`image-processor token create`" in str(caught.value)
        assert str(caught.value).endswith(f"for {PREFIX}{name}, got something else")


def test_a_file_has_one_token_a_line(tmp_path: Path) -> None:
    file = tmp_path / "tokens.txt"
    file.write_text(f"# readers\nread:a:{DIGEST}\n\nadmin:b:{'b' * 64}\n", encoding="utf-8")
    both = {PREFIX + "TOKENS_FILE": str(file), PREFIX + "TOKENS": f"write:c:{'c' * 64}"}
    assert [token.name for token in from_environment(both).all_tokens] == ["c", "a", "b"]
    assert Settings().all_tokens == ()
    with pytest.raises(InvalidSettings):
        from_environment({PREFIX + "TOKENS_FILE": str(tmp_path / "none")})
