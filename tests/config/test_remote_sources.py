"""The allow-list of remote sources: which key has which URL, and which URLs have none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_processor.config.remote_sources import (
    RemoteSource,
    RemoteSources,
    parse_remote_sources,
    parse_remote_url,
)
from image_processor.config.settings import PREFIX, Settings, from_environment
from image_processor.config.settings_file import read_settings_file
from image_processor.domain.errors import InvalidSettings, SourceNotAllowed

SOURCES = parse_remote_sources(
    ["shop/=https://cdn.example/photos/", "old/=http://[2001:db8::1]:8080/", "bucket/=s3://archive/2024/"]
)


def url_of(key: str, sources: RemoteSources = SOURCES) -> str | None:
    found = sources.source_of(key)
    return found[1] if found else None


def key_of(url: str) -> str | None:
    return SOURCES.key_of(parse_remote_url(url))


@pytest.mark.parametrize(
    ("key", "url"),
    [
        ("shop/cat.jpg", "https://cdn.example/photos/cat.jpg"),
        ("shop/a/b c.jpg", "https://cdn.example/photos/a/b%20c.jpg"),
        ("shop/Käse?x#y%.jpg", "https://cdn.example/photos/K%C3%A4se%3Fx%23y%25.jpg"),
        ("old/a.png", "http://[2001:db8::1]:8080/a.png"),
        ("bucket/b c.jpg", "s3://archive/2024/b c.jpg"),
        ("bucket/b\nc.jpg", "s3://archive/2024/b\nc.jpg"),
        ("shop/b\nc.jpg", "https://cdn.example/photos/b%0Ac.jpg"),
    ],
)
def test_a_key_has_one_url_and_the_url_that_key(key: str, url: str) -> None:
    assert url_of(key) == url
    assert key_of(url) == key


@pytest.mark.parametrize(
    "key",
    [
        *("other/cat.jpg", "shop", "shop/", "shopping/cat.jpg", "shop/a//b.jpg", "shop//b.jpg"),
        *("shop/../cat.jpg", "shop/a/../../cat.jpg", "shop/./cat.jpg", "shop/..", "shop/a\\b.jpg"),
        *(
            "shop/..;/cat.jpg",
            "shop/.;a=b/cat.jpg",
            "shop/;/cat.jpg",
            "shop/%2e%2e/cat.jpg",
            "shop/.. /cat.jpg",
        ),
        *("shop/a/..;", "shop/%2E%2e;x", "shop/.../cat.jpg", "shop/a%2f..%2f..%5cb/cat.jpg"),
    ],
)
def test_a_key_that_is_no_path_below_a_source_has_no_url(key: str) -> None:
    assert url_of(key) is None


@pytest.mark.parametrize(
    "url",
    [
        *(
            "https://cdn.example/photos2/a.jpg",
            "https://cdn.example/a.jpg",
            "http://cdn.example/photos/a.jpg",
        ),
        *("https://cdn.example:444/photos/a.jpg", "https://cdn.example.evil.example/photos/a.jpg"),
        *("https://evil.example/photos/a.jpg", "s3://other/2024/a.jpg", "s3://archive/2023/a.jpg"),
    ],
)
def test_another_url_is_refused(url: str) -> None:
    with pytest.raises(SourceNotAllowed, match=r"expected a URL below https://cdn.example/photos/ or "):
        key_of(url)
    assert not SOURCES.allows(parse_remote_url(url))


@pytest.mark.parametrize(
    "url",
    [
        *(
            "ftp://cdn.example/photos/a.jpg",
            "file:///etc/passwd",
            "//cdn.example/photos/a.jpg",
            "",
            "https://",
        ),
        *("https://me:secret@cdn.example/photos/a.jpg", "https://cdn.example@evil.example/photos/a.jpg"),
        *("https://cdn.example/photos/../a.jpg", "https://cdn.example/photos/%2e%2e/a.jpg"),
        *("https://cdn.example/photos/..;/a.jpg", "https://cdn.example/photos/%2e%2e;a=b/a.jpg"),
        *("https://cdn.example/photos/%252e%252e/a.jpg", "https://cdn.example/photos/..%20/a.jpg"),
        *("https://cdn.example/photos/..%2fa.jpg", "https://cdn.example/photos/a%5Cb.jpg"),
        "https://cdn.example/photos/a%2Fb.jpg",
        *("https://cdn.example/photos/a%00.jpg", "https://cdn.example/photos/a b.jpg"),
        *("https://cdn.example\\photos/a.jpg", "https://cdn.example/photos//a.jpg"),
        *("https://cdn.example:0/photos/a.jpg", "https://cdn.example:99999/photos/a.jpg"),
        *(
            "https://cdn.example:443:80/photos/a",
            "https://\uff43dn.example/photos/a.jpg",
            "s3://archive/../a",
        ),
        "https://cdn.example/photos/a.jpg\r\nHost: evil.example",
    ],
)
def test_a_url_that_can_be_read_in_two_ways_is_none(url: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the caller says what was expected
        parse_remote_url(url)


def test_the_spelling_of_a_url_does_not_matter() -> None:
    for url in (
        "HTTPS://CDN.example:443/photos/%63at.jpg",
        "https://cdn.example/photos/cat.jpg#top",
    ):
        assert key_of(url) == "shop/cat.jpg"
    assert key_of("https://cdn.example/photos/Käse.jpg") == "shop/Käse.jpg"


def test_a_longer_key_prefix_comes_first() -> None:
    sources = parse_remote_sources(["a/=https://one.example/", "a/b/=https://two.example/"])
    assert url_of("a/c.jpg", sources) == "https://one.example/c.jpg"
    assert url_of("a/b/c.jpg", sources) == "https://two.example/c.jpg"
    assert sources.key_of(parse_remote_url("https://two.example/c.jpg")) == "a/b/c.jpg"
    assert sources.key_of(parse_remote_url("https://one.example/b/c.jpg")) is None


def test_a_url_with_a_query_is_allowed_and_has_no_key() -> None:
    url = parse_remote_url("https://cdn.example/photos/cat.jpg?v=2")
    assert SOURCES.allows(url)
    assert SOURCES.key_of(url) is None
    assert url.text == "https://cdn.example/photos/cat.jpg?v=2"


@given(st.sampled_from(SOURCES.items), st.text(min_size=1, max_size=40))
def test_no_key_leaves_its_source(source: RemoteSource, rest: str) -> None:
    """What is a key has a URL that can be read, and is the key of that URL."""
    key = source.key_prefix + rest
    found = SOURCES.source_of(key)
    if found is None:
        return
    url = parse_remote_url(found[1])
    assert url.text.startswith(source.text)
    assert SOURCES.key_of(url) == key


@pytest.mark.parametrize(
    "text",
    [
        *("", "https://cdn.example/", "shop=https://cdn.example/", "shop/=https://cdn.example/photos"),
        *("shop/=ftp://cdn.example/", "/=https://cdn.example/", "../=https://cdn.example/"),
        *(
            "shop/=https://me:secret@cdn.example/",
            "shop/=https://cdn.example/?a=b",
            "a//b/=https://cdn.example/",
        ),
        "shop/=https://cdn.example/,shop/=https://other.example/",
    ],
)
def test_a_setting_that_is_no_source_is_refused(text: str) -> None:
    with pytest.raises(InvalidSettings, match=r"expected KEY/PREFIX/=https://HOST/PATH/"):
        from_environment({f"{PREFIX}REMOTE_SOURCES": text})


def test_the_settings_are_off_by_default_and_read_from_text_or_file(tmp_path) -> None:
    assert not Settings().remote_sources
    text = "shop/=https://cdn.example/photos/,old/=http://[2001:db8::1]:8080/,bucket/=s3://archive/2024/"
    given_by_text = from_environment({f"{PREFIX}REMOTE_SOURCES": text}).remote_sources
    assert given_by_text == tuple(map(str, SOURCES.items)) == tuple(text.split(","))
    file = tmp_path / "settings.toml"
    file.write_text(
        'remote_sources = ["shop/=https://cdn.example/photos/"]\nremote_private = ["10.0.0.0/8"]\n'
    )
    settings = from_environment(read_settings_file(file).variables)
    assert settings.remote_sources == ("shop/=https://cdn.example/photos/",)
    assert settings.remote_private == ("10.0.0.0/8",)


def test_private_hosts_are_names_addresses_or_networks() -> None:
    read = from_environment({f"{PREFIX}REMOTE_PRIVATE": "NAS.local, 10.1.2.3,fd00::/8, 192.168.0.0/16"})
    assert read.remote_private == ("nas.local", "10.1.2.3/32", "fd00::/8", "192.168.0.0/16")
    for wrong in ("10.1.2.3/8", "1.2.3", "https://nas", "a b"):
        with pytest.raises(InvalidSettings, match=r"expected names or networks like 10.1.0.0/16"):
            from_environment({f"{PREFIX}REMOTE_PRIVATE": wrong})
