"""Signed URLs for the simulated edge, and a stack with their keys on both sides."""

from __future__ import annotations

import json
from typing import Any

from edge_distribution import START
from edge_function import Host
from edge_messages import Answer
from edge_stack import Edge

from image_processor.config.recipe import Recipe
from image_processor.config.settings import Settings
from image_processor.delivery.edge_entries import entries
from image_processor.delivery.url.parser import parse_url
from image_processor.delivery.url.signing import Keyring, signature_query
from support.ingest import RECIPE

KEYS = (("new", "correct-horse-battery-staple"), ("old", "staple-battery-horse-correct"))


def signed(path: str, query: str = "", kid: str = "new", ends: float | None = None) -> str:
    """The signed query of a path, which may contain more than ``query``."""
    keyring = Keyring({kid: dict(KEYS)[kid].encode()})
    expires = None if ends is None else int(START + ends)
    signature = signature_query(keyring.sign(parse_url(path, query), expires))
    return f"{query}&{signature}" if query else signature


def opened(
    host: Host, *, names: bool = True, hints: bool = False, recipe: Recipe = RECIPE, **more: Any
) -> Edge:
    """A stack with KEYS whose store was filled from the recipe; without ``names`` it was never told which
    names are public."""
    settings = Settings(signing_keys=KEYS, hints=hints)
    store = entries(recipe, settings)
    if not names:
        store = {key: value for key, value in store.items() if key[:2] not in {"n/", "p/"} and key != "names"}
    return Edge(host, store=store, settings=settings, recipe=recipe, **more)


def asked(edge: Edge) -> int:
    """How often the origins were called."""
    return len(edge.bucket.asked) + len(edge.function.asked)


def code_of(answer: Answer) -> str:
    """The code of a rejection, which is not cached."""
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    document = json.loads(answer.body)
    assert document["status"] == answer.status
    assert set(document) >= {"detail", "title"}
    found: str = document["code"]
    return found


def with_cat(edge: Edge) -> Edge:
    """``edge`` with an original."""
    edge.ingest.put("photos/cat.jpg", b"cat")
    return edge
