"""The options of the storage, checked together: by Django's system checks, and when the storage is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self
from urllib.parse import urlsplit

from msgspec import Struct, field

from image_processor_client.canonical import canonical_pairs
from image_processor_client.urls import SigningKey, UrlBuilder

DEFAULT_TRANSFORMATION = "w=1920,fm=auto"


class OptionProblem(Struct, frozen=True):
    """What is wrong with the option ``name``, and what cures it."""

    name: str
    message: str
    hint: str


class StorageOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The OPTIONS of the storage in Django's STORAGES.

    ``url``: the address of the API. ``token``, ``headers``, ``uploads``, ``bucket``: as of `Client`.
    ``base_url``: what URLs of renditions begin with, by default `renditions` below ``url``. ``signing_key``:
    `ID:SECRET`, as in the server's IMAGE_PROCESSOR_SIGNING_KEYS. ``transformation``: the rendition that
    `url()` of a file means. ``prefix``: what keys begin with, such as `shop/`. ``overwrite``: whether saving
    replaces a file of the same name; otherwise it gets another name. ``wait``: seconds that saving waits
    until the file is processed and raises Refused for one that is no image; None does not wait.
    ``resumable_bytes``: files of so many bytes and more are sent in parts, which a broken connection does not
    begin again; None sends none so.
    """

    url: str
    token: str | None = None
    headers: Mapping[str, str] = {}
    uploads: str = "direct"
    bucket: str = "uploads"
    base_url: str | None = None
    signing_key: str | None = None
    transformation: str = DEFAULT_TRANSFORMATION
    prefix: str = ""
    overwrite: bool = False
    wait: float | None = None
    resumable_bytes: int | None = None
    problems: tuple[OptionProblem, ...] = field(default=())

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """The options with every problem that they have."""
        known = {name: value for name, value in options.items() if name in _NAMES}
        problems = [
            OptionProblem(name, f"expected an option of the storage, got {name!r}", f"Use one of {_LIST}.")
            for name in options
            if name not in _NAMES
        ]
        found = cls(**{"url": "", **known})
        return cls(**{**_values(found), "problems": (*problems, *found.own_problems())})

    def own_problems(self) -> list[OptionProblem]:
        """Every problem of the values."""
        problems = []
        if urlsplit(str(self.url)).scheme not in {"http", "https"}:
            expected = f"expected the API's address such as http://127.0.0.1:8000, got {self.url!r}"
            problems.append(OptionProblem("url", expected, "Set it to where the server or API Gateway is."))
        if self.uploads not in {"direct", "presigned"}:
            expected = f"expected direct or presigned, got {self.uploads!r}"
            problems.append(
                OptionProblem("uploads", expected, "presigned is for AWS, direct for one machine.")
            )
        if self.resumable_bytes is not None and self.uploads != "direct":
            expected = f"expected None with {self.uploads} uploads, got {self.resumable_bytes!r}"
            problems.append(OptionProblem("resumable_bytes", expected, "On AWS there are no such uploads."))
        for name, check, hint in (
            (
                "signing_key",
                self._check_signing_key,
                "Take it from the server's IMAGE_PROCESSOR_SIGNING_KEYS.",
            ),
            ("base_url", self._check_base_url, "Set it to the CDN's address, or leave it out."),
            ("transformation", self._check_transformation, "Write it as in w=1920,fm=auto."),
        ):
            try:
                check()
            except ValueError as error:
                problems.append(OptionProblem(name, str(error), hint))
        return problems

    @property
    def renditions_url(self) -> str:
        return self.base_url if self.base_url is not None else f"{self.url.rstrip('/')}/renditions"

    def _check_signing_key(self) -> None:
        if self.signing_key is not None:
            SigningKey.parse(self.signing_key)

    def _check_base_url(self) -> None:
        if self.base_url is not None:
            UrlBuilder(self.base_url)

    def _check_transformation(self) -> None:
        if not canonical_pairs(self.transformation, {}):
            raise ValueError("expected parameters such as w=1920, got none")


_NAMES = tuple(name for name in StorageOptions.__struct_fields__ if name != "problems")
_LIST = ", ".join(_NAMES)


def _values(options: StorageOptions) -> dict[str, Any]:
    return {name: getattr(options, name) for name in _NAMES}
