"""A digest of what a form says, computed while its bytes pass.

Not of its bytes: a client that sends a form again separates its parts by another boundary. Each name, value
and content has a digest of its own, of one length, so the digest of all gets other bytes for each form.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks


MAX_OUTSIDE_BYTES = 256 * 1024
"""The most bytes that are not the content of a part. No form that was stored has as many, and thousands of
empty parts would take much more time than their bytes take to arrive."""


class FormDigest:
    """The digest of the parts of a form: their headers and contents, in order."""

    def __init__(self, content_type: str) -> None:
        self._form = hashlib.sha256()
        self._headers, self._content = hashlib.sha256(), hashlib.sha256()
        self._name, self._value = hashlib.sha256(), hashlib.sha256()
        self._outside = 0
        self._is_complete = False
        self._parser = self._parser_of(content_type)

    def add(self, data: bytes) -> None:
        """Read the next bytes of the body."""
        if self._parser is None:
            return
        self._outside += len(data)
        try:
            self._parser.write(data)
        except FormParserError:
            self._parser = None
        if self._outside > MAX_OUTSIDE_BYTES:
            self._parser = None

    def digest(self) -> bytes | None:
        """The digest; None before the end of the form, and of what is none."""
        return self._form.digest() if self._is_complete and self._parser else None

    def _parser_of(self, content_type: str) -> MultipartParser | None:
        """None for a type without a boundary that can be read."""
        boundary = parse_options_header(content_type)[1].get(b"boundary")
        callbacks: MultipartCallbacks = {
            "on_part_begin": self._begin_part,
            "on_header_field": self._add_header_name,
            "on_header_value": self._add_header_value,
            "on_header_end": self._end_header,
            "on_part_data": self._add_content,
            "on_part_end": self._end_part,
            "on_end": self._end,
        }
        try:
            return MultipartParser(boundary, callbacks) if boundary else None
        except FormParserError:  # it is too long
            return None

    def _begin_part(self) -> None:
        self._headers, self._content = hashlib.sha256(), hashlib.sha256()

    def _add_header_name(self, data: bytes, start: int, end: int) -> None:
        self._name.update(data[start:end].lower())

    def _add_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value.update(data[start:end])

    def _end_header(self) -> None:
        self._headers.update(self._name.digest() + self._value.digest())
        self._name, self._value = hashlib.sha256(), hashlib.sha256()

    def _add_content(self, data: bytes, start: int, end: int) -> None:
        self._content.update(memoryview(data)[start:end])
        self._outside -= end - start

    def _end_part(self) -> None:
        self._form.update(self._headers.digest() + self._content.digest())

    def _end(self) -> None:
        self._is_complete = True
