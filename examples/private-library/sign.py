"""Signs a URL of the image processor, as docs/urls.md describes it. Needs no packages.

IMGP_SIGNING_KEY=a:SECRET python sign.py family/cat.jpg 600 w=320 fm=avif
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import sys
import time
from collections.abc import Mapping
from urllib.parse import quote, urlencode


def signed_path(key: str, parameters: Mapping[str, str | int], expires: int, signing_key: str) -> str:
    """The path and the query that open one rendition of ``key`` until ``expires``, in seconds since 1970.

    ``signing_key`` is ID:SECRET. Spell parameters as docs/urls.md does: the signature covers their text.
    """
    kid, _, secret = signing_key.partition(":")
    query = {name: str(value) for name, value in parameters.items()} | {"expires": str(expires), "kid": kid}
    text = key + "?" + "&".join(f"{name}={value}" for name, value in sorted(query.items()))
    digest = hmac.digest(secret.encode(), text.encode(), hashlib.sha256)
    query["s"] = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    return f"{quote(key)}?{urlencode(query, safe=':,')}"


if __name__ == "__main__":
    key, seconds, *pairs = sys.argv[1:]
    parameters = dict(pair.split("=", 1) for pair in pairs)
    print(signed_path(key, parameters, int(time.time()) + int(seconds), os.environ["IMGP_SIGNING_KEY"]))
