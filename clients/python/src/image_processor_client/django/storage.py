"""A storage of Django whose files are originals of image-processor."""

from __future__ import annotations

import posixpath
from datetime import UTC, datetime
from functools import cached_property
from tempfile import SpooledTemporaryFile
from typing import Any, cast

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, SuspiciousFileOperation
from django.core.files.base import File
from django.core.files.storage import Storage
from django.utils.deconstruct import deconstructible

from image_processor_client.client import Client
from image_processor_client.errors import NotFound, PreconditionFailed
from image_processor_client.models import Image, Upload
from image_processor_client.urls import UrlBuilder

from .options import StorageOptions

_IN_MEMORY = 2**20
"""Bytes of a downloaded file that are held in memory; more are in a temporary file."""


@deconstructible(path="image_processor_client.django.ImageProcessorStorage")
class ImageProcessorStorage(Storage):
    """Stores files as originals, which the server makes renditions of. For images only.

    Its arguments are the fields of `StorageOptions`. A file's `url` is that of a rendition. Raises
    ImproperlyConfigured for wrong options. Methods raise ImageProcessorError, for files that do not exist
    FileNotFoundError.
    """

    def __init__(self, **options: Any) -> None:
        self.options = StorageOptions.of(options)
        if self.options.problems:
            problems = "; ".join(f"{item.name}: {item.message}" for item in self.options.problems)
            raise ImproperlyConfigured(problems)

    @cached_property
    def client(self) -> Client:
        """The client of the API."""
        options = self.options
        return Client(
            options.url,
            token=options.token,
            headers=options.headers,
            uploads="presigned" if options.uploads == "presigned" else "direct",
            bucket=options.bucket,
        )

    @cached_property
    def urls(self) -> UrlBuilder:
        """Builds the URLs of renditions."""
        return UrlBuilder(self.options.renditions_url, self.options.signing_key)

    def key(self, name: str) -> str:
        """The key of the original of a file. Raises SuspiciousFileOperation for one outside the prefix."""
        path = posixpath.normpath(name.replace("\\", "/"))
        if path.startswith(("/", "../")) or path in {"", ".", ".."}:
            raise SuspiciousFileOperation(f"expected the name of a file, got {name!r}")
        return self.options.prefix + path

    def image(self, name: str) -> Image:
        """What the server knows of a file: its renditions, size, colours. Raises FileNotFoundError."""
        image = self.client.find(self.key(name))
        if image is None:
            raise FileNotFoundError(f"no original has the key {self.key(name)!r}")
        return image

    def import_url(self, url: str, name: str, max_length: int | None = None) -> str:
        """Have the server fetch a file of one of its remote sources, and return its name for a model's field:
        `photo.image = storage.import_url("https://cdn.example.com/cat.jpg", "cat.jpg")`.

        Raises Forbidden for a URL of no source, Unavailable if the source fails, SuspiciousFileOperation for
        a name that cannot be stored.
        """
        may_replace = self.options.overwrite
        name = self.get_available_name(name.replace("\\", "/"), max_length=max_length)
        while True:
            key = self.key(name)
            try:
                self._settle(self.client.import_url(url, key, overwrite=may_replace), key)
            except PreconditionFailed:  # as in _save
                name = self.get_available_name(name, max_length=max_length)
            else:
                return name

    def url(self, name: str | None) -> str:
        """The URL of the rendition that the option ``transformation`` names."""
        if not name:
            raise ValueError("expected the name of a file, got none")
        return self.urls.url(self.key(name), self.options.transformation)

    def exists(self, name: str) -> bool:
        return self.client.find(self.key(name)) is not None

    def is_name_available(self, name: str, max_length: int | None = None) -> bool:
        if self.options.overwrite:
            return max_length is None or len(name) <= max_length
        return bool(super().is_name_available(name, max_length=max_length))

    def delete(self, name: str) -> None:
        """Delete the original with its renditions, if it exists."""
        if not name:
            raise ValueError("expected the name of a file, got none")
        try:
            self.client.delete(self.client.id_of(self.key(name)))
        except NotFound:
            return

    def size(self, name: str) -> int:
        """The bytes of the original."""
        facts = self.image(name).facts
        if facts is not None:
            return facts.bytes
        with self.open(name) as file:  # not processed yet, or refused
            return int(file.size)

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        """The folders and files of a folder. The whole folder is listed, with what is in its folders."""
        prefix = self.options.prefix if path in {"", ".", "/"} else self.key(path) + "/"
        folders: dict[str, None] = {}
        files: list[str] = []
        for image in self.client.list(prefix=prefix, limit=1000, fields="version"):
            name, slash, _ = image.original.removeprefix(prefix).partition("/")
            if slash:
                folders[name] = None
            else:
                files.append(name)
        return list(folders), files

    def get_created_time(self, name: str) -> datetime:
        return _as_set_up(self.image(name).created_at)

    def get_modified_time(self, name: str) -> datetime:
        """When the file was processed last."""
        return _as_set_up(self.image(name).updated_at)

    def _open(self, name: str, mode: str = "rb") -> File[bytes]:
        if mode not in {"r", "rb"}:
            raise ValueError(f"expected rb for mode, got {mode!r}: save() stores a file")
        file = SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - the caller closes it
        try:
            self.client.original(self.client.id_of(self.key(name)), cast("Any", file))
        except NotFound:
            file.close()
            raise FileNotFoundError(f"no original has the key {self.key(name)!r}") from None
        size = file.tell()
        file.seek(0)
        opened = File(file, name)
        opened.size = size
        return opened

    def _save(self, name: str, content: Any) -> str:
        options = self.options
        # A signed form has no conditions: there, only is_name_available protects a file.
        may_replace = options.overwrite or options.uploads == "presigned"
        while True:
            if content.seekable():
                content.seek(0)
            try:
                self._upload(content, self.key(name), overwrite=may_replace)
            except PreconditionFailed:  # another process has taken the name meanwhile
                name = self.get_available_name(name)
            else:
                return name

    def _upload(self, content: Any, key: str, *, overwrite: bool) -> None:
        least = self.options.resumable_bytes
        is_large = least is not None and content.size >= least
        send = self.client.upload_resumable if is_large else self.client.upload
        self._settle(send(content, key, overwrite=overwrite), key)

    def _settle(self, upload: Upload, key: str) -> None:
        """Wait until an upload is processed if the options say so. Raises ImproperlyConfigured if the server
        has another id for its key."""
        if upload.id != self.client.id_of(key):
            bucket = self.options.bucket
            expected = f"expected the upload bucket's name for bucket, got {bucket!r}"
            raise ImproperlyConfigured(f"{expected}: the server has another id for {key!r}")
        if self.options.wait is not None:
            self.client.wait(upload, timeout=self.options.wait)


def _as_set_up(moment: datetime | None) -> datetime:
    """A time as Django's settings want it: with a zone if USE_TZ is set."""
    moment = moment or datetime.fromtimestamp(0, UTC)
    return moment if settings.USE_TZ else moment.astimezone().replace(tzinfo=None)
