"""An altered URL is rejected with 403 after its syntax is checked; no store is accessed (promise 37)."""

from __future__ import annotations

import os
from random import Random

import pytest

from image_processor.config.setting_specs import DIALECTS
from image_processor.delivery.dialects import DialectOptions, load_dialects
from image_processor.delivery.policy import Policy
from image_processor.delivery.resolver import RequestResolver
from image_processor.domain.errors import Forbidden, InvalidKey, InvalidRequest, NotFound, Refused
from support.altered_urls import NOW, RING, altered, get_of, signed_urls
from support.ingest import RECIPE

SEED = int(os.environ.get("SEED", "20261126"))
URLS = 1000
VALUES = 255 if os.environ.get("STRESS") else 1
"""How many of the 255 other values of each byte are tried: all of them in `make stress`."""

NAMES = tuple(DIALECTS)
SECRET = "a secret of another product"
SETTINGS = {
    "thumbor_key": SECRET,
    "dit_secret": SECRET,
    "imgproxy_key": SECRET.encode(),
    "imgproxy_salt": SECRET.encode(),
    "imgproxy_signature_bytes": 32,
}


def reader(dialects):
    def metadata_of(key):
        pytest.fail(f"the original {key!r} was looked at")

    return RequestResolver(RECIPE, Policy(keyring=RING, dialects=dialects), metadata_of, lambda: NOW)


@pytest.mark.parametrize(("names", "urls"), [((), URLS), (NAMES, 200)], ids=["ours", "with dialects"])
def test_every_changed_byte_of_a_signed_url_is_forbidden(names, urls):
    dialects = load_dialects(names, SETTINGS, DialectOptions())
    random, reads, tried = Random(SEED), reader(dialects), 0
    for url in signed_urls(urls, SEED):
        for changed in altered(url, random, VALUES):
            tried += 1
            try:
                wanted = reads.resolve(get_of(changed))
            except Forbidden:
                continue
            except (InvalidKey, InvalidRequest) as error:
                pytest.fail(f"{changed!r} was told {error!r} (SEED={SEED})")
            pytest.fail(f"{changed!r} opened {wanted} (SEED={SEED})")
    assert tried > 50 * urls * VALUES


def test_the_urls_are_good_before_they_are_altered():
    def metadata_of(key):
        raise NotFound(key)

    reads = RequestResolver(RECIPE, Policy(keyring=RING), metadata_of, lambda: NOW)
    opened = 0
    for url in signed_urls(URLS, SEED):
        try:
            opened += reads.resolve(get_of(url)).transformation is not None
        except (NotFound, Refused):
            opened += 1
        except InvalidRequest:  # signed, but impossible: an overlay that nobody may use
            continue
    assert opened > URLS / 2
