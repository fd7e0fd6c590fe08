"""Delivery, step 1: the query that Next.js, Vercel and Netlify share, whose `url` names the image.

A path such as `/photos/cat.jpg` is a key. A URL of another server is one if IMAGE_PROCESSOR_BUCKETS names
its host.
"""

from __future__ import annotations

from collections.abc import Mapping

from image_processor.delivery.dialects.request_builder import RequestBuilder
from image_processor.domain.keys import percent_decode

_URL = "url"


def parse_query(query: str, builder: RequestBuilder) -> Mapping[str, str]:
    """The decoded parameters. A repeated one is a problem; unknown ones, such as Vercel's `dpl`, stay."""
    values: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        raw_name, _, raw_value = part.replace("+", " ").partition("=")
        try:
            name, value = percent_decode(raw_name), percent_decode(raw_value)
        except UnicodeError:
            builder.add_error("the query", "percent-encoded UTF-8", part)
            continue
        if values.setdefault(name, value) != value:
            builder.add_error(name, "one value", value)
    return values


def parse_source(values: Mapping[str, str], builder: RequestBuilder, endpoint: str) -> str:
    """The key that `url` names. A problem if there is none, or if it is a URL of ``endpoint`` itself."""
    url = values.get(_URL, "")
    if not url:
        builder.add_error(_URL, "the path of an image, such as /photos/cat.jpg", url)
        return ""
    path = url.partition("#")[0].partition("?")[0]
    is_local = path.startswith("/") and not path.startswith("//")
    if is_local and path[1:].endswith(endpoint):
        builder.add_error(_URL, "an image, not a URL that resizes one", url)
        return ""
    try:
        return builder.parse_key(percent_decode(path.removeprefix("/") if is_local else path), _URL) or ""
    except UnicodeError:
        builder.add_error(_URL, "percent-encoded UTF-8", url)
        return ""
