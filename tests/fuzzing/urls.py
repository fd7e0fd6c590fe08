"""Fuzz targets of delivery: the project's own URLs, each dialect's, and the resolver of all."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import quote

from msgspec import Struct

from image_processor.config.recipe import parse_recipe
from image_processor.config.setting_specs import DIALECTS
from image_processor.delivery.dialects import CERTAIN, POSSIBLE, Dialect, DialectOptions, load_dialects
from image_processor.delivery.dialects.cloudflare import dialect as cloudflare
from image_processor.delivery.dialects.cloudinary import components as cloudinary_components
from image_processor.delivery.dialects.cloudinary import effects as cloudinary_effects
from image_processor.delivery.dialects.cloudinary import encoding as cloudinary_encoding
from image_processor.delivery.dialects.cloudinary import operations as cloudinary_operations
from image_processor.delivery.dialects.cloudinary import values as cloudinary_values
from image_processor.delivery.dialects.dit import edits as dit_edits
from image_processor.delivery.dialects.dit import path as dit_path
from image_processor.delivery.dialects.dit import tone as dit_tone
from image_processor.delivery.dialects.dit import version8 as dit_version8
from image_processor.delivery.dialects.imgix import parameters as imgix
from image_processor.delivery.dialects.imgproxy import options as imgproxy_options
from image_processor.delivery.dialects.thumbor import filters as thumbor_filters
from image_processor.delivery.policy import Policy
from image_processor.delivery.request import HttpRequest, RenditionRequest, parse_request
from image_processor.delivery.resolve import preview
from image_processor.delivery.resolver import RequestResolver
from image_processor.delivery.url.parameter_names import ALIASES, PARAMETER_ORDER, VALUE_ALIASES
from image_processor.delivery.url.parser import MAX_URL, ParsedUrl, canonical_pairs, parse_url
from image_processor.domain.errors import Forbidden, InvalidKey, InvalidRequest, InvalidTransformation
from image_processor.domain.keys import check_key
from image_processor.domain.models import ImageMetadata
from image_processor.domain.transformation import PARAMETERS

from .target import FuzzTarget, check_error, check_round_trip, text_of

RECIPE = parse_recipe('[presets.card]\nwidth = 300\n[[rules]]\nmatch = "**"\npresets = ["card"]')
ORIGINAL = ImageMetadata(800, 600, "jpeg", 1, True, 1, "")
BUCKETS = frozenset({"photos"})
_SECRET = "61" * 16
_NUMBERS = tuple(b"0 1 -1 2 300 0.5 1e9 99999999999999999999 0x10 NaN 1.5.5".split())
_PUNCTUATION = tuple(b"/ ? & = : , ; . ~ % %2F %25 %FF %00 # + ( ) @ ! | { } [ ] ' \" _ - ..".split())


def _words(*groups: object) -> tuple[bytes, ...]:
    """The names in tables, as bytes, with numbers and punctuation."""
    names = {str(name).encode() for group in groups for name in group}  # type: ignore[attr-defined]
    return (*sorted(names - {b""}), *_NUMBERS, *_PUNCTUATION, b" ", "ä".encode(), b"\xff", b"\n")


# The project's own URLs ------------------------------------------------------------------------------


def _check_preview(request: RenditionRequest) -> None:
    """The request is a transformation with a canonical text, or has a documented problem."""
    try:
        transformation = preview(request, RECIPE)
    except (InvalidRequest, InvalidTransformation) as error:
        check_error(error)
        return
    check_round_trip(transformation)


def _check_own_round_trip(parsed: ParsedUrl) -> None:
    """Key and pairs, written as a URL, are read as the same key and pairs."""
    with suppress(InvalidKey):
        check_key(parsed.key)
        query = "&".join(f"{name}={value}" for name, value in parsed.pairs)
        again = parse_url(quote(parsed.key), query)
        assert not parsed.pairs or (again.key, again.pairs) == (parsed.key, parsed.pairs)


def _check_url(data: bytes) -> None:
    path, _, query = text_of(data).partition("?")
    try:
        parsed = parse_url(path, query)
        assert canonical_pairs(parsed.pairs) == parsed.pairs, "canonical pairs are final"
        request = parse_request(parsed, signed=True)
    except InvalidRequest as error:
        check_error(error)
        return
    _check_own_round_trip(parsed)
    _check_preview(request)


_OWN_URLS = (
    b"photos/cat.jpg?w=640&fm=auto&kid=a&expires=1900000000&s=AA",
    b"a/w=640,fm=webp.webp",
    b"a/~w=9.png",
    b"k?over=text:Hi;size:10&then=blur:3&bg=%23ff0000&fp-x=0.2&fp-y=0.7&auto=format,compress",
    b"k?rect=0.1,0.1,0.5,0.5&g=top,left&fit=pad&grey=true&preset=card",
)
URL = FuzzTarget(
    _check_url,
    lambda: (*_OWN_URLS, *(f"k?{example}".encode() for example in _examples())),
    _words(PARAMETER_ORDER, ALIASES, *VALUE_ALIASES.values(), ("auto", "v", "s", "kid", "expires")),
    max_bytes=MAX_URL + 100,
)


def _examples() -> tuple[str, ...]:
    """The pairs that the documentation shows for each parameter."""
    texts = (row.example if isinstance(row.example, str) else row.example.text for row in PARAMETERS)
    return tuple(text.replace(",", "&") for text in texts if text)


# Dialects --------------------------------------------------------------------------------------------


class DialectInputs(Struct, frozen=True):
    """URLs of a dialect, as `path?query`, and the words that its parser knows."""

    urls: tuple[str, ...]
    words: tuple[bytes, ...]


_PLATFORM_WORDS = _words(
    (
        "_next/image?",
        "_vercel/image?",
        ".netlify/images?",
        "url=",
        "w=",
        "h=",
        "q=",
        "fm=",
        "fit=",
        "position=",
    ),
    ("contain", "cover", "fill", "top", "center", "webp", "auto", "https://photos/", "position="),
)

DIALECT_INPUTS = {
    "thumbor": DialectInputs(
        (
            "unsafe/300x200/smart/filters:blur(3):format(webp)/photos/cat.jpg",
            "unsafe/trim:top-left:10/10x10:200x100/adaptive-full-fit-in/-origx-100/left/top/a.jpg",
            "unsafe/fit-in/100x100/filters:watermark(s3:photos/logo.png,-10,10p,50,20,20):focal(0x0:4x3)/a.jpg",
            "AAAAAAAAAAAAAAAAAAAAAAAAAAA=/300x200/a.jpg",
        ),
        _words(
            thumbor_filters.FILTERS,
            (
                "unsafe",
                "meta",
                "debug",
                "trim",
                "fit-in",
                "adaptive-",
                "full-",
                "orig",
                "x",
                "smart",
                "filters:",
            ),
            ("left", "right", "center", "top", "bottom", "middle", "top-left", "s3:photos/", "http://a/b"),
        ),
    ),
    "dit": DialectInputs(
        (
            "300x200/filters:format(webp):quality(80)/photos/cat.jpg",
            "photos/cat.jpg?width=300&height=200&format=webp&signature=aa&expires=20270101T000000Z",
            "cat.jpg?resize.width=9&resize[height]=9&extract=[1,2,3,4]&rotate=30&watermark=[a/b,[1,2p,0,0.5,null]]",
            "eyJrZXkiOiJhLmpwZyIsImVkaXRzIjp7InJlc2l6ZSI6eyJ3aWR0aCI6OX19fQ==",
        ),
        _words(
            dit_path.FILTERS,
            dit_path.QUERY_PARAMETERS,
            (f"{name}=" for name in dit_version8.SCHEMAS),
            (f"{name}.{option}=" for name, options in dit_version8.OPTIONS.items() for option in options),
            ("signature=", "expires=", "flop", "filters:", "eyJrZXkiOiJhIn0=", "fit-in", "x"),
        ),
    ),
    "imgproxy": DialectInputs(
        (
            "insecure/rs:fill:300:200:1/plain/photos/cat.jpg@webp",
            "_/c:100:100:fp:0.5:0.5/g:sm/pd:1:2:3:4/wmt:aGk/wm:0.5:ce:1:1:0.1/exp:1900000000/pr:card/plain/a.jpg",
            "insecure/q:80/fq:webp:70:avif:50/fn:YQ:1/cGhvdG9zL2NhdC5qcGc.png",
            "insecure/rt:auto/w:100/h:0/el:t/ex:1:nowe:1:2/t:10:ff0000/bg:255:0:0/a:1:2:3/plain/local:///a.jpg",
        ),
        _words(
            imgproxy_options.OPTIONS,
            imgproxy_options.LONG_NAMES,
            (
                "insecure",
                "plain",
                "enc",
                "s3://photos/",
                "local:///",
                "http://a/b",
                "cGhvdG9z",
                "fill",
                "auto",
                "sm",
            ),
        ),
    ),
    "imgix": DialectInputs(
        (
            "photos/cat.jpg?w=300&h=0.5&fit=crop&crop=focalpoint&fp-x=0.2&fp-z=2&auto=format,compress&dpr=2",
            "a.jpg?mark64=L2xvZ28ucG5n&mark-align=top,left&mark-w=0.5&txt=Hi&txt-line=2&blend=80ff0000&ixlib=js",
            "a.jpg?fit=fill&fill=gradient&fill-gradient-linear=red,blue&rot=30&exp=5&mask=corners&mask-bg=ccc&h=3",
            "a.jpg?rect=center,0.1,100,full&border=5,f00&border-radius=1,2,3,4&pad=3&trim=alpha&orient=6&expires=9",
        ),
        _words(
            imgix.NAMES,
            imgix.ALIASES,
            imgix.UNLISTED,
            ("?", "=", "64=", "s=00000000000000000000000000000000", "top,left", "80ff0000", "red,blue"),
            ("clip", "crop", "fillmax", "gradient", "ellipse", "inherit", "s3://photos/a", "http://a/b"),
        ),
    ),
    "cloudflare": DialectInputs(
        (
            "cdn-cgi/image/fit=cover,width=300,height=200,gravity=0.5x0.25,format=webp,quality=high/photos/cat.jpg",
            "cdn-cgi/image/w=1,q=80,f=auto,g=left,flip=hv,dpr=2/https://a/b.jpg",
        ),
        _words(
            cloudflare.OPTIONS,
            (
                "cdn-cgi/image/",
                "w=",
                "h=",
                "q=",
                "f=auto",
                "g=",
                "auto",
                "high",
                "cover",
                "0.5x0.5",
                "hv",
                "http://a/b",
            ),
        ),
    ),
    "cloudinary": DialectInputs(
        (
            "demo/image/upload/s--Ai4Znfl3--/c_fill,g_auto,h_200,w_300/e_sepia:50/r_max/f_auto,q_auto/v12/photos/cat.jpg",
            "demo/image/upload/c_crop,w_0.5,x_10,y_10,ar_16:9/b_auto,c_pad,h_9,w_9/bo_2px_solid_red,r_3/a_vflip.20/a.jpg",
            "d/image/upload/co_red,l_text:Arial_20_bold:Hi%20%252C/fl_layer_apply,g_south/l_b:c.png,w_9,o_40/dpr_2.0/a",
            "d/image/upload/if_w_gt_100_and_ar_lt_2/$s_9/c_mpad,w_$s,h_9/if_else/t_card/if_end/a.png",
        ),
        _words(
            cloudinary_effects.EFFECTS,
            cloudinary_operations.MODES,
            cloudinary_operations.COMPARISONS,
            cloudinary_encoding.IGNORED_FLAGS,
            cloudinary_values.GRAVITIES,
            (f"{name}_" for name in (*cloudinary_components.ACTIONS, "u", "t", "if", "so")),
            (
                "image/upload/",
                "fl_layer_apply",
                "if_else",
                "if_end",
                "l_text:Arial_9:",
                "$a_",
                "rgb:",
                "px_solid_",
            ),
            ("auto", "iw_div_2", "max", "hflip", "s--Ai4Znfl3--", "v1", "fl_relative", "face", "xy_center"),
        ),
    ),
    "next": DialectInputs(("_next/image?url=%2Fphotos%2Fcat.jpg&w=640&q=75",), _PLATFORM_WORDS),
    "vercel": DialectInputs(("_vercel/image?url=https%3A%2F%2Fphotos%2Fa.jpg&w=640&q=75",), _PLATFORM_WORDS),
    "netlify": DialectInputs(
        (".netlify/images?url=/owl.jpeg&fit=cover&w=50&h=50&position=left&fm=webp&q=80",), _PLATFORM_WORDS
    ),
}
"""By the dialect's name in IMAGE_PROCESSOR_DIALECTS: each dialect has a row."""


def _dialects(name: str) -> tuple[Dialect, ...]:
    """The dialect open, lenient, and with a secret that no input can know."""
    secrets = {item.field: item.read(_SECRET) for item in DIALECTS[name].settings if item.secret}
    options = (DialectOptions(True, lenient, BUCKETS) for lenient in (False, True))
    opened = (load_dialects((name,), {}, option)[0] for option in options)
    return (*opened, *load_dialects((name,), secrets, DialectOptions(buckets=BUCKETS)))


def _check_dialect(name: str) -> Callable[[bytes], None]:
    dialects = _dialects(name)

    def check(data: bytes) -> None:
        path, _, query = text_of(data).partition("?")
        for dialect in dialects:
            assert dialect.matches(path, query) in {0, POSSIBLE, CERTAIN}
            _check_parse(dialect, path, query)

    return check


def _check_parse(dialect: Dialect, path: str, query: str) -> None:
    try:
        request = dialect.parse(path, query, now=0)
    except (Forbidden, InvalidRequest) as error:
        check_error(error)
        body = dialect.error_body(400, error.code, str(error))
        assert body is None or body[1].encode()
        return
    assert not request.signed, "nobody can forge a signature"
    assert request == dialect.parse(path, query, now=0)
    _check_preview(request)


def _check_edits(data: bytes) -> None:
    """DIT's JSON, which edits of the base64 text would rarely leave intact."""
    _DIT(base64.b64encode(data))


_DIT = _check_dialect("dit")
_EDITS = (
    {"key": "a.jpg", "edits": {"resize": {"width": 9, "height": 9, "fit": "cover", "position": "entropy"}}},
    {
        "bucket": "photos",
        "key": "a",
        "outputFormat": "webp",
        "effort": 3,
        "edits": {"rotate": 90, "flip": True},
    },
    {
        "key": "a",
        "edits": {"overlayWith": {"bucket": "photos", "key": "b", "wRatio": 50, "options": {"left": "1p"}}},
    },
    {
        "key": "a",
        "edits": {"tint": {"r": 1, "g": 2, "b": 3}, "modulate": {"brightness": 1}, "smartCrop": True},
    },
    {"key": "a", "edits": {"roundCrop": {"rx": 3}, "crop": {"left": 1, "top": 2, "width": 3, "height": 4}}},
    {"key": "a", "edits": {"webp": {"quality": 3}, "extend": {"top": 1, "background": "red"}, "blur": 2.5}},
)
DIT_EDITS = FuzzTarget(
    _check_edits,
    lambda: tuple(json.dumps(edits).encode() for edits in _EDITS),
    _words(
        (f'"{name}":' for name in (*dit_edits.EDITS, *dit_tone.OPERATIONS)),
        (
            "key",
            "edits",
            "null",
            "true",
            "{}",
            "[]",
            "{",
            "}",
            '"',
            "width",
            "height",
            "bucket",
            "options",
            "r",
        ),
        ("\\ud800", "1e999", "-0", "Infinity"),
    ),
    max_bytes=MAX_URL * 3 // 4,
)


# The resolver ----------------------------------------------------------------------------------------


def _check_resolver(data: bytes) -> None:
    url, _, accept = text_of(data).partition("\n")
    path, _, query = url.partition("?")
    request = HttpRequest(
        "GET", path, query, {"accept": accept, "sec-ch-width": accept, "sec-ch-dpr": accept}
    )
    for resolver in _RESOLVERS:
        try:
            reference = resolver.resolve(request)
        except (Forbidden, InvalidKey, InvalidRequest) as error:
            check_error(error)
            continue
        assert reference.stored_key
        if reference.transformation is not None:
            check_round_trip(reference.transformation)


_ALL = load_dialects(tuple(DIALECTS), {}, DialectOptions(unsafe=True, buckets=BUCKETS))
_RESOLVERS = tuple(
    RequestResolver(RECIPE, policy, lambda _: ORIGINAL, lambda: 0.0)
    for policy in (Policy(dialects=_ALL, allow_unsigned=True, hints=True), Policy(dialects=_ALL))
)
RESOLVER = FuzzTarget(
    _check_resolver,
    lambda: (
        *(url + b"\nimage/avif,image/webp;q=0.8,*/*" for url in URL.seeds()),
        *(url.encode() for inputs in DIALECT_INPUTS.values() for url in inputs.urls),
        b"k?w=auto&dpr=auto\n640",
        b"photos/cat.jpg/w=300,fm=webp.webp",
    ),
    (*URL.tokens, b"\nimage/webp", b"q=0", b"*/*", b"auto", b"unsafe/", b"insecure/"),
    max_bytes=MAX_URL + 100,
)

TARGETS = {
    "url": URL,
    "dit-edits": DIT_EDITS,
    "resolver": RESOLVER,
    **{
        f"dialect-{name}": FuzzTarget(
            _check_dialect(name),
            lambda inputs=inputs: tuple(url.encode() for url in inputs.urls),
            inputs.words,
            max_bytes=MAX_URL + 100,
        )
        for name, inputs in DIALECT_INPUTS.items()
    },
}
