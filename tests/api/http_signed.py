"""Signed URLs of a machine for the HTTP tests."""

from __future__ import annotations

from urllib.parse import quote

from http_machine import Machine
from msgspec.structs import replace

from image_processor.delivery.url.parser import parse_url
from image_processor.delivery.url.signing import signature_query
from support.altered_urls import RING

_KEYS = tuple((kid, secret.decode()) for kid, secret in RING.secrets.items())


def signed(key: str, query: str) -> str:
    """The path and query that open a rendition."""
    signature = RING.sign(parse_url(quote(key), query))
    return f"/renditions/{quote(key)}?{query}&{signature_query(signature)}"


def let_sign(machine: Machine) -> None:
    """Give a machine the keys of `signed`, a short queue and an original, before its first request."""
    machine.settings = replace(
        machine.settings, signing_keys=_KEYS, cors_origin="https://shop.example", delivery_queue=8
    )
    machine.ingest.put("cat.jpg", b"cat")
