"""Reads the one file of a multipart/form-data body as it arrives, for the routes that store originals.

python-multipart parses; nothing but the fields before the file is held in memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from image_processor.domain.errors import Invalid

from .forms import FORM

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

FILE_NAME = "${filename}"
"""What the field ``key`` of a form writes for the name of its file."""

MAX_FIELD_BYTES = 16 * 1024
"""The most bytes of all fields and headers of a form, its file apart. S3 allows 20 kB before the file."""

MAX_BOUNDARY_BYTES = 256
"""The longest boundary that python-multipart takes. RFC 2046, 5.1.1 allows 70 bytes."""

MAX_OUTSIDE_BYTES = 64 * 1024
"""The most bytes without the file, with what delimits parts: empty parts and blank lines cost time, too."""


class Chunks(Protocol):
    """Parts of a body as they arrive."""

    async def next(self) -> bytes:
        """The next part, empty at the end."""
        ...


class FormFile:
    """The file of a form, read chunk by chunk. `open` reads up to it, and so ``fields`` has what precedes it.

    A form has one file: a second one, a field ``key`` after it, and a form that ends early raise Invalid from
    `next`, before it has returned the end, so that a file of such a form is not stored.
    """

    def __init__(self, body: Chunks, content_type: str) -> None:
        boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
        if not 1 <= len(boundary) <= MAX_BOUNDARY_BYTES:
            expected = f"{FORM} with a boundary of 1-{MAX_BOUNDARY_BYTES} bytes"
            raise Invalid.one("Content-Type", expected, content_type[:MAX_BOUNDARY_BYTES])
        self.fields: dict[str, str] = {}
        self.file_name: str | None = None
        self._body = body
        self._chunks: deque[bytes] = deque()
        self._header_name, self._header_value = b"", b""
        self._headers: dict[bytes, bytes] = {}
        self._field, self._value = "", b""
        self._in_file = self._is_complete = False
        self._held = self._outside = 0
        self._error: Invalid | None = None
        callbacks: MultipartCallbacks = {
            "on_part_begin": self._begin_part,
            "on_header_field": self._add_header_name,
            "on_header_value": self._add_header_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_headers,
            "on_part_data": self._add_data,
            "on_part_end": self._end_part,
            "on_end": self._end,
        }
        try:
            self._parser = MultipartParser(boundary, callbacks)
        except FormParserError as error:  # the boundary is too long
            raise Invalid.one("Content-Type", f"{FORM} as RFC 2046 has it", str(error)) from error

    async def open(self) -> None:
        """Read the fields before the file. Raises Invalid for a form without a file, TimeoutError."""
        while self.file_name is None and not self._is_complete:
            await self._read()
        if self.file_name is None:
            raise Invalid.one("body", "a form with a file", "one without")

    async def next(self) -> bytes:
        """The next bytes of the file, empty at its end. Raises Invalid, TimeoutError."""
        while not self._chunks and not self._is_complete:
            await self._read()
        return self._chunks.popleft() if self._chunks else b""

    async def _read(self) -> None:
        data = await self._body.next()
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise Invalid.one("body", "a form as RFC 7578 has it", str(error)) from error
        if not (self._in_file or self._chunks or self._is_complete):
            self._outside += len(data)
            if self._outside > MAX_OUTSIDE_BYTES:
                self._fail(f"at most {MAX_OUTSIDE_BYTES} bytes in addition to the file", "more")
        if self._error:
            raise self._error
        if not data and not self._is_complete:
            raise Invalid.one("body", "a whole form", "one that ends early")

    # Callbacks of the parser. An exception in them would leave its state undefined, so errors are kept.

    def _begin_part(self) -> None:
        self._headers, self._field, self._value = {}, "", b""

    def _add_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]
        self._hold(end - start)

    def _add_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]
        self._hold(end - start)

    def _end_header(self) -> None:
        self._headers[self._header_name.lower()] = self._header_value
        self._header_name = self._header_value = b""

    def _end_headers(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._field = options.get(b"name", b"").decode("utf-8", "replace")
        file_name = options.get(b"filename")
        if file_name is None:
            return
        if self.file_name is not None:
            self._fail("one file", "more")
            return
        self._in_file = True
        self.file_name = file_name.decode("utf-8", "replace")

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        if self._in_file:
            self._chunks.append(data[start:end])
            return
        self._value += data[start:end]
        self._hold(end - start)

    def _end_part(self) -> None:
        if self._in_file:
            self._in_file = False
        elif self.file_name is None:
            self.fields[self._field] = self._value.decode("utf-8", "replace")
        elif self._field == "key":
            self._fail("the field key before the file", "it after the file")

    def _end(self) -> None:
        self._is_complete = True

    def _hold(self, count: int) -> None:
        self._held += count
        if self._held > MAX_FIELD_BYTES:
            self._value = self._header_name = self._header_value = b""
            self._fail(f"at most {MAX_FIELD_BYTES} bytes of fields", "more")

    def _fail(self, expected: str, got: str) -> None:
        self._error = self._error or Invalid.one("body", expected, got)


def file_key(fields: Mapping[str, str], file_name: str) -> str:
    """The key that a form names: its field ``key``, in which ``${filename}`` is the file's own name, as in
    S3's "POST Object"; without it that name."""
    name = file_name.replace("\\", "/").rpartition("/")[2]
    return fields.get("key", FILE_NAME).replace(FILE_NAME, name)
