"""An altered URL is rejected with 403 after its syntax is checked; no store is accessed (promise 37)."""

from __future__ import annotations

import os
from random import Random

import pytest

from image_processor.config.setting_specs import DIALECTS
from image_processor.delivery.dialects import DialectOptions, load_dialects
from image_processor.delivery.policy import Policy
from image_processor.delivery.resolver import RequestResolver
from image_processor.domain.errors import Forbidden, InvalidKey, InvalidRequest
from support.altered_urls import NOW, RING, changed_bytes, get_of, is_equivalent, signed_urls
from support.ingest import RECIPE

SEED = int(os.environ.get("SEED", "20261126"))
STRESS = bool(os.environ.get("STRESS"))
URLS, DIALECT_URLS = (1000, 200) if STRESS else (200, 50)
VALUES = int(os.environ.get("ALTERED_VALUES") or (2 if STRESS else 1))
"""How many of the 255 other values of each byte are tried. All of them take more than an hour."""

NAMES = tuple(DIALECTS)
SECRET = "a secret of another product"
SETTINGS = {
    "thumbor_key": SECRET,
    "dit_secret": SECRET,
    "imgproxy_key": SECRET.encode(),
    "imgproxy_salt": SECRET.encode(),
    "imgproxy_signature_bytes": 32,
}


class StoreAccess(Exception):
    """The original's metadata was asked for."""


def resolver(dialects=()):
    def metadata_of(key):
        raise StoreAccess(key)

    return RequestResolver(RECIPE, Policy(keyring=RING, dialects=dialects), metadata_of, lambda: NOW)


@pytest.mark.parametrize(
    ("names", "urls"), [((), URLS), (NAMES, DIALECT_URLS)], ids=["ours", "with dialects"]
)
def test_every_changed_byte_of_a_signed_url_is_forbidden(names, urls):
    resolve = resolver(load_dialects(names, SETTINGS, DialectOptions())).resolve
    random, rejected = Random(SEED), 0
    for url in signed_urls(urls, SEED):
        for changed in changed_bytes(url, random, VALUES):
            try:
                result = resolve(get_of(changed))
            except Forbidden:
                rejected += 1
                continue
            except (InvalidKey, InvalidRequest, StoreAccess) as error:
                result = error
            assert is_equivalent(changed, url), f"{changed!r} gave {result!r} (SEED={SEED})"
    assert rejected > 50 * urls * VALUES


def test_the_urls_are_good_before_they_are_altered():
    resolve, opened = resolver().resolve, 0
    for url in signed_urls(URLS, SEED):
        try:
            opened += resolve(get_of(url)).transformation is not None
        except StoreAccess:
            opened += 1
        except InvalidRequest:  # signed, but impossible: an overlay that nobody may use
            continue
    assert opened > URLS / 2
