"""Remote sources: which URLs originals may be fetched from, and under which keys their copies are stored.

A source maps a key prefix to the beginning of URLs. A key below the prefix has exactly one URL and a URL
below the beginning exactly one key, so that what is checked is what is fetched.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from msgspec import Struct

from image_processor.domain.errors import SourceNotAllowed
from image_processor.domain.keys import MAX_KEY_BYTES, percent_decode

_DEFAULT_PORTS = {"http": 80, "https": 443}
_URL = re.compile(r"(https?)://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?(/[^?#]*)?(\?[^#]*)?(?:#.*)?")
_BUCKET = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(/(?s:.*))?")
_BUCKET_OPTIONS = {
    "endpoint": re.compile(r"https?://[A-Za-z0-9.:\[\]_-]+(/[A-Za-z0-9._~/-]*)?"),
    "region": re.compile(r"[a-z0-9-]+"),
}
_UNSAFE = re.compile(r"[\x00-\x20\x7f\\]")
_IN_PATH = "!$&'()*+,;=:@/"
"""What a path of a URL may have unescaped, in addition to letters, digits and `-._~` (RFC 3986, 3.3)."""


class RemoteUrl(Struct, frozen=True):
    """A URL, taken apart. ``path`` is decoded and has no empty, `.` or `..` segments before its last one.
    ``query`` has its question mark, or is empty. ``target`` is what an HTTP request names."""

    scheme: str
    host: str
    port: int
    path: str
    query: str = ""
    target: str = "/"

    @property
    def authority(self) -> str:
        """The host, and the port unless it is the scheme's own."""
        return self.host if self.port == _DEFAULT_PORTS.get(self.scheme, 0) else f"{self.host}:{self.port}"

    @property
    def text(self) -> str:
        """The URL as it is fetched."""
        return f"{self.scheme}://{self.authority}{self.target}"

    @property
    def is_http(self) -> bool:
        return self.scheme in _DEFAULT_PORTS


class RemoteSource(Struct, frozen=True):
    """Copies of files whose URL begins with ``base`` have keys that begin with ``key_prefix``. ``text`` is
    ``base`` as the setting writes it. A bucket may have an ``endpoint`` and a ``region`` of its own."""

    key_prefix: str
    base: RemoteUrl
    text: str
    endpoint: str | None = None
    region: str | None = None

    def __str__(self) -> str:
        options = {"endpoint": self.endpoint, "region": self.region}
        query = "&".join(f"{name}={value}" for name, value in options.items() if value)
        return f"{self.key_prefix}={self.text}" + (f"?{query}" if query else "")

    def url_of(self, key: str) -> str | None:
        """The URL of the file whose copy is stored as ``key``; None if there is none."""
        rest = key.removeprefix(self.key_prefix)
        if not (key.startswith(self.key_prefix) and rest) or not _is_plain(rest):
            return None
        return self._url(self.base.path + rest)

    def key_of(self, url: RemoteUrl) -> str | None:
        """The key of the copy of the file at ``url``; None if another source has it, or none."""
        if not self.covers(url) or url.query:
            return None
        rest = url.path.removeprefix(self.base.path)
        key = self.key_prefix + rest
        return key if rest and _is_plain(rest) and len(key.encode()) <= MAX_KEY_BYTES else None

    def covers(self, url: RemoteUrl) -> bool:
        """Whether ``url`` begins with the source's."""
        same_host = (url.scheme, url.host, url.port) == (self.base.scheme, self.base.host, self.base.port)
        return same_host and url.path.startswith(self.base.path)

    def _url(self, path: str) -> str:
        if self.base.is_http:
            from urllib.parse import quote  # noqa: PLC0415 - not for a cold start

            path = quote(path, safe=_IN_PATH)
        return f"{self.base.scheme}://{self.base.authority}{path}"


class RemoteSources(Struct, frozen=True):
    """The sources of a deployment. A key belongs to the one with the longest prefix."""

    items: tuple[RemoteSource, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.items)

    def source_of(self, key: str) -> tuple[RemoteSource, str] | None:
        """The source of the copy ``key`` and the URL of its file; None if no source has the key."""
        owner = max(
            (source for source in self.items if key.startswith(source.key_prefix)),
            key=lambda source: len(source.key_prefix),
            default=None,
        )
        url = owner.url_of(key) if owner else None
        return (owner, url) if owner and url else None

    def allows(self, url: RemoteUrl) -> bool:
        """Whether ``url`` may be fetched."""
        return any(source.covers(url) for source in self.items)

    def key_of(self, url: RemoteUrl) -> str | None:
        """The key that the copy of ``url`` has; None if its path is no key, it has a query, or the key is
        that of another source's file.

        Raises SourceNotAllowed if it may not be fetched.
        """
        if not self.allows(url):
            raise SourceNotAllowed(f"expected a URL below {self.described()}, got another one")
        for source in self.items:
            key = source.key_of(url)
            if key is not None and (found := self.source_of(key)) and found[0] is source:
                return key
        return None

    def described(self) -> str:
        """The beginnings of URLs that may be fetched, for messages."""
        return " or ".join(source.text for source in self.items) or "a remote source, of which there is none"


def parse_remote_sources(items: Iterable[str]) -> RemoteSources:
    """The sources of items `KEY/PREFIX/=URL`. Raises ValueError."""
    sources = tuple(_parse_source(item) for item in items)
    if len({source.key_prefix for source in sources}) != len(sources):
        raise ValueError
    return RemoteSources(sources)


def _parse_source(item: str) -> RemoteSource:
    key_prefix, equals, text = item.partition("=")
    options: dict[str, str] = {}
    if text.startswith("s3://"):
        text, _, query = text.partition("?")
        options = _bucket_options(query)
    base = parse_remote_url(text)
    # With a slash at both ends, `https://host/a` covers no `https://host/abc`, and no key is its own prefix.
    if not equals or base.query or not key_prefix.endswith("/") or not base.path.endswith("/"):
        raise ValueError(item)
    if not _is_plain(key_prefix[:-1]) or key_prefix == "/" or _UNSAFE.search(key_prefix):
        raise ValueError(item)
    return RemoteSource(key_prefix, base, text, **options)


def _bucket_options(query: str) -> dict[str, str]:
    """The options of a bucket, `endpoint=https://host&region=NAME`. Raises ValueError."""
    options = dict(part.split("=", 1) for part in query.split("&") if part)
    if not options.keys() <= _BUCKET_OPTIONS.keys():
        raise ValueError(query)
    if not all(_BUCKET_OPTIONS[name].fullmatch(value) for name, value in options.items()):
        raise ValueError(query)
    return options


def parse_remote_url(text: str) -> RemoteUrl:
    """``text`` taken apart.

    Raises ValueError for what is no http, https or s3 URL, has credentials, or a path that a server may read
    in two ways: with dot segments, escaped slashes, backslashes or control characters.
    """
    scheme, separator, rest = text.partition("://")
    scheme = scheme.lower()
    if scheme == "s3":
        return _parse_bucket(scheme + separator + rest)
    if _UNSAFE.search(text) or not text.isascii():
        text = _escaped(text)
        rest = text.partition("://")[2]
    authority = re.match(r"[^/?#]*", rest)
    assert authority is not None
    host = authority[0].lower()
    match = _URL.fullmatch(f"{scheme}://{host}{rest[authority.end() :]}")
    if match is None:
        raise ValueError(text)
    port = int(match[3]) if match[3] else _DEFAULT_PORTS[scheme]
    if not 1 <= port <= 65535:
        raise ValueError(text)
    target = match[4] or "/"
    path = percent_decode(target)
    if re.search(r"%(2f|5c|00)", target, re.IGNORECASE) or not _is_plain(path[1:]):
        raise ValueError(text)
    query = match[5] or ""
    return RemoteUrl(scheme, match[2], port, path, query, target + query)


def _parse_bucket(text: str) -> RemoteUrl:
    match = _BUCKET.fullmatch(text)
    path = (match and match[2]) or "/"
    if match is None or not _is_plain(path[1:]):
        raise ValueError(text)
    return RemoteUrl("s3", match[1], 0, path, "", path)


def _escaped(text: str) -> str:
    """``text`` with its letters beyond ASCII percent-encoded, as browsers send it. Raises ValueError for
    spaces, backslashes and control characters, and for such letters in the host."""
    from urllib.parse import quote  # noqa: PLC0415 - not for a cold start

    if _UNSAFE.search(text):
        raise ValueError(text)
    return quote(text, safe=_IN_PATH + "%?#[]/")


def _is_plain(path: str) -> bool:
    """Whether every server reads a path in the same way, from its first segment to its last, which may be
    empty."""
    *folders, name = path.split("/")
    if "\\" in path or "\0" in path or any(map(_leads_elsewhere, folders)):
        return False
    return not name or not _leads_elsewhere(name)


def _leads_elsewhere(segment: str) -> bool:
    """Whether some server reads a segment as none, as `.` or as `..`: with a path parameter behind it, as
    Java's do, decoded a second time, or without dots and spaces at its end, as on Windows."""
    parts = re.split(r"[/\\]", percent_decode(segment, errors="replace"))
    return any(not part.partition(";")[0].strip(" .") for part in (segment, *parts))
