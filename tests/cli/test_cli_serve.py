"""The listening socket of `serve`, and who may reach it."""

from __future__ import annotations

import json
import socket

import pytest

from image_processor.cli.serve import check_exposure, listen
from image_processor.config.settings import Settings
from image_processor.config.tokens import Scope, create_token, find_token, parse_tokens
from image_processor.domain.errors import InvalidSettings

OPEN = ["0.0.0.0", "::", "192.168.1.5", "[fe80::1]", "myhost", "localhost.example", "127.0.0.1.example", ""]


@pytest.mark.parametrize("host", OPEN)
def test_a_server_that_others_reach_needs_a_token_or_the_word_of_its_owner(host: str) -> None:
    with pytest.raises(InvalidSettings, match=r"token create.*IMAGE_PROCESSOR_ALLOW_ANONYMOUS=1"):
        check_exposure(Settings(host=host))
    check_exposure(Settings(host=host, allow_anonymous=True))
    _, token = create_token(Scope.READ)
    check_exposure(Settings(host=host, tokens=(token,)))
    check_exposure(Settings(host=host, tokens_file=(token,)))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost", "LOCALHOST"])
def test_a_server_of_this_machine_alone_needs_none(host: str) -> None:
    check_exposure(Settings(host=host))


def test_serve_refuses_before_it_listens(run, monkeypatch, tmp_path):
    monkeypatch.setenv("IMAGE_PROCESSOR_HOST", "0.0.0.0")
    status, out, err = run("serve", "--port", "0")
    assert (status, out) == (2, "")
    assert "because other machines may reach 0.0.0.0, for IMAGE_PROCESSOR_TOKENS, got none" in err
    assert list(tmp_path.iterdir()) == []


def test_token_create_prints_the_line_and_shows_the_token_once(run):
    status, line, told = run("token", "create", "--scope", "write", "--name", "ci")
    (token,) = parse_tokens(line.splitlines())
    text = told.splitlines()[0].split()[-1]
    assert (status, token.scope, token.name) == (0, "write", "ci")
    assert find_token([token], text) == token
    assert text not in line
    status, out, told = run("token", "create", "--scope", "read", "--json")
    made = json.loads(out)
    assert find_token(parse_tokens([made["line"]]), made["token"])
    assert (status, told, made["scope"]) == (0, "", "read")
    assert made["line"].endswith(made["name"] + made["line"][-56:])
    assert run("token", "create", "--scope", "read", "--name", "a b")[0] == 2
    assert run("token", "create", "--scope", "root")[0] == 2


def test_responses_are_sent_without_delay() -> None:
    with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
