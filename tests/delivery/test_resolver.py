"""Which requests are allowed, and what is read before that is decided."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from image_processor.config.recipe import parse_recipe
from image_processor.delivery.policy import Policy
from image_processor.delivery.request import HttpRequest
from image_processor.delivery.resolver import RequestResolver
from image_processor.delivery.url.parser import parse_url
from image_processor.delivery.url.signing import signature_query
from image_processor.domain.errors import (
    Forbidden,
    InvalidKey,
    InvalidRequest,
    NotFound,
    SignatureMismatch,
    SignatureMissing,
    SizeNotAllowed,
)
from image_processor.domain.keys import rendition_prefix
from image_processor.domain.models import ImageMetadata
from support.altered_urls import NOW, RING, get_of
from support.url_strategies import KEYS

RECIPE = parse_recipe("""
[presets.small]
widths = [10, 20]
formats = ["webp", "jpeg"]
[presets.one]
width = 30
formats = ["png"]
[presets.elsewhere]
width = 40
formats = ["png"]
[[rules]]
match = "ignored/**"
presets = []
[[rules]]
match = "elsewhere/**"
presets = ["elsewhere"]
[[rules]]
match = "**"
presets = ["small", "one"]
""")
JPEG = ImageMetadata(400, 300, "jpeg", 1, False, 1000, "")
LONG = "a" * 800


def reader(facts=JPEG, **policy):
    """A resolver with ``facts`` as the metadata of every original; None if it must not be read."""

    def metadata_of(key):
        if facts is None:
            pytest.fail(f"the original {key!r} was looked at")
        if isinstance(facts, Exception):
            raise facts
        return facts

    return RequestResolver(RECIPE, Policy(**{"keyring": RING, **policy}), metadata_of, lambda: NOW)


def signed(path, query=""):
    signature = signature_query(RING.sign(parse_url(path, query)))
    return HttpRequest("GET", path, "&".join(filter(None, [query, signature])))


@pytest.mark.parametrize(
    ("path", "query", "name"),
    [
        ("cat.jpg/w=10,fm=webp.webp", "", "w=10,fm=webp.webp"),
        ("cat.jpg/w=10,fm=webp.webp", "v=2", "w=10,fm=webp.webp"),
        ("cat.jpg/w=10,fm=webp.webp", "&&v=2", "w=10,fm=webp.webp"),
        ("cat.jpg/fm=webp,w=10", "", "w=10,fm=webp.webp"),
        ("cat.jpg", "w=10&fm=webp", "w=10,fm=webp.webp"),
        ("cat.jpg", "FM=webp&v=1&Width=10&w=10", "w=10,fm=webp.webp"),
        ("c%61t.jpg", "w=5&dpr=2&fm=jpg", "w=10,fm=jpeg.jpg"),
        ("cat.jpg", "w=10", "w=10,fm=jpeg.jpg"),
        ("cat.jpg", "w=10&fm=auto", "w=10,fm=jpeg.jpg"),
        ("cat.jpg", "preset=one", "w=30,fm=png.png"),
        ("cat.jpg", "preset=small", "w=20,fm=jpeg.jpg"),
        ("cat.jpg", "preset=small&w=10", "w=10,fm=jpeg.jpg"),
        ("cat.jpg", "preset=small&fm=webp", "w=20,fm=webp.webp"),
    ],
)
def test_public_presets_need_no_signature(path, query, name):
    resolved = reader().resolve(HttpRequest("GET", path, query))
    assert (resolved.key, resolved.stored_key) == ("cat.jpg", f"cat.jpg/{name}")
    assert (resolved.declared, resolved.is_public) == (True, True)


AVIF_AND_JPEG = parse_recipe("""
[presets.responsive]
width = 640
formats = ["avif", "jpeg"]
[presets.lossless]
width = 64
lossless = true
formats = ["webp"]
[[rules]]
match = "**"
presets = ["responsive", "lossless"]
""")
CHROME = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"
SAFARI = "image/webp,image/png,image/svg+xml,image/*;q=0.8,video/*;q=0.8,*/*;q=0.5"


@pytest.mark.parametrize("query", ["w=640&fm=auto", "auto=format&width=640", "w=640&auto=format"])
@pytest.mark.parametrize(
    ("accept", "original", "format_"),
    [
        (CHROME, JPEG, "avif"),
        (SAFARI, JPEG, "jpeg"),
        ("*/*", JPEG, "jpeg"),
        (CHROME, replace(JPEG, alpha=True), "avif"),
        (SAFARI, replace(JPEG, alpha=True), "jpeg"),
        (CHROME, replace(JPEG, frames=2, format="gif"), "jpeg"),
    ],
)
def test_an_unsigned_request_is_negotiated_among_the_declared_formats(query, accept, original, format_):
    resolver = RequestResolver(AVIF_AND_JPEG, Policy(keyring=RING), lambda _: original, lambda: NOW)
    ref = resolver.resolve(HttpRequest("GET", "cat.jpg", query, {"accept": accept}))
    extension = {"jpeg": "jpg"}.get(format_, format_)
    assert (ref.stored_key, ref.declared) == (f"cat.jpg/w=640,fm={format_}.{extension}", True)
    assert ref.vary == ("Accept",)


def test_a_request_without_format_gets_a_declared_one_if_the_originals_is_not_declared():
    png = replace(JPEG, format="png", alpha=True)
    resolver = RequestResolver(AVIF_AND_JPEG, Policy(keyring=RING), lambda _: png, lambda: NOW)
    ref = resolver.resolve(HttpRequest("GET", "cat.png", "w=640", {"accept": CHROME}))
    assert (ref.stored_key, ref.vary) == ("cat.png/w=640,fm=jpeg.jpg", ())


def test_a_parameter_of_one_format_alone_does_not_make_the_negotiation_fail():
    resolver = RequestResolver(AVIF_AND_JPEG, Policy(keyring=RING), lambda _: JPEG, lambda: NOW)
    ref = resolver.resolve(HttpRequest("GET", "cat.jpg", "w=64&lossless=1&fm=auto", {"accept": "*/*"}))
    assert ref.stored_key == "cat.jpg/w=64,lossless=1,fm=webp.webp"


@pytest.mark.parametrize("allowed", ["signed", "allow_unsigned"])
def test_a_request_for_any_rendition_has_the_choice_of_all_formats(allowed):
    policy = Policy(keyring=RING, allow_unsigned=allowed == "allow_unsigned")
    resolver = RequestResolver(AVIF_AND_JPEG, policy, lambda _: JPEG, lambda: NOW)
    query = signed("cat.jpg", "w=640&fm=auto").query if allowed == "signed" else "w=640&fm=auto"
    ref = resolver.resolve(HttpRequest("GET", "cat.jpg", query, {"accept": SAFARI}))
    assert (ref.stored_key, ref.declared) == ("cat.jpg/~w=640,fm=webp.webp", False)


# No store is needed to decide that these are not public.
UNSIGNED = [
    ("cat.jpg", ""),
    ("cat.jpg", "w=11&fm=webp"),
    ("cat.jpg", "w=11"),
    ("cat.jpg", "w=11&fm=auto"),
    ("cat.jpg", "w=10&fm=png"),
    ("cat.jpg", "w=10&q=1&fm=webp"),
    ("cat.jpg", "preset=elsewhere"),
    ("cat.jpg", "preset=nothing"),
    ("ignored/cat.jpg", "w=10&fm=webp"),
    ("ignored/cat.jpg", "preset=small"),
    ("ignored/cat.jpg/w=10,fm=webp.webp", ""),
    ("cat.jpg/w=11,fm=webp.webp", ""),
    ("cat.jpg/~w=10,fm=png.png", ""),
    ("cat.jpg/~long=00112233445566778899aabbccddeeff,fm=webp.webp", "v=1"),
    ("w=10,fm=webp.webp", ""),
    ("/w=10,fm=webp.webp", ""),
    (".image-processor/records/x.json", ""),
    ("http://169.254.169.254/latest/meta-data", "w=11&fm=webp"),
]


@pytest.mark.parametrize(("path", "query"), UNSIGNED)
def test_undeclared_renditions_need_a_signature_before_any_read(path, query):
    with pytest.raises((SignatureMissing, InvalidRequest)) as caught:
        reader(None).resolve(HttpRequest("GET", path, query))
    assert isinstance(caught.value, SignatureMissing) or "long" in path
    if "preset" in query:
        assert f"got the preset {query.removeprefix('preset=')!r}" in str(caught.value)


@pytest.mark.parametrize(("path", "query"), [each for each in UNSIGNED if "preset" not in each[1]])
@pytest.mark.parametrize("end", ["s=AAAA&kid=a", "kid=a", "s=&kid=a", "s=AAAA", "kid=b&expires=5&s=A%00"])
def test_a_bad_signature_reads_nothing(path, query, end):
    with pytest.raises(Forbidden):
        reader(None).resolve(HttpRequest("GET", path, f"{query}&{end}"))


@pytest.mark.parametrize(
    ("path", "query", "stored"),
    [
        ("cat.jpg", "w=11&fm=webp", "cat.jpg/~w=11,fm=webp.webp"),
        ("cat.jpg/~w=11,fm=webp.webp", "", "cat.jpg/~w=11,fm=webp.webp"),
        ("cat.jpg/w=11,fm=webp.webp", "", "cat.jpg/~w=11,fm=webp.webp"),
        ("cat.jpg", "", "cat.jpg/~fm=jpeg.jpg"),
        ("ignored/cat.jpg", "w=10&fm=webp", "ignored/cat.jpg/~w=10,fm=webp.webp"),
        ("cat.jpg", "preset=elsewhere", "cat.jpg/~w=40,fm=png.png"),
        ("cat.jpg", "preset=one&grey=1", "cat.jpg/~w=30,grey=1,fm=png.png"),
        ("cat.jpg", "w=10&fm=webp", "cat.jpg/w=10,fm=webp.webp"),
    ],
)
def test_a_signature_allows_every_rendition(path, query, stored):
    resolved = reader().resolve(signed(path, query))
    assert resolved.stored_key == stored
    assert resolved.is_public == resolved.declared == ("~" not in stored)


def test_an_on_demand_name_always_needs_a_signature():
    plain, private = (f"cat.jpg/{mark}w=10,fm=webp.webp" for mark in ("", "~"))
    assert reader().resolve(HttpRequest("GET", plain)).declared
    with pytest.raises(SignatureMissing):
        reader().resolve(HttpRequest("GET", private))
    assert reader(allow_unsigned=True).resolve(HttpRequest("GET", private)).declared


def test_a_deployment_can_allow_unsigned_requests():
    resolved = reader(allow_unsigned=True).resolve(HttpRequest("GET", "cat.jpg", "w=11&fm=webp"))
    assert resolved.stored_key == "cat.jpg/~w=11,fm=webp.webp"


def test_sizes_apply_to_signed_requests_too():
    get = signed("cat.jpg", "w=11&fm=webp")
    assert reader(sizes=frozenset({11})).resolve(get).transformation.width == 11
    with pytest.raises(SizeNotAllowed, match="expected one of 12 for width, got 11"):
        reader(sizes=frozenset({12})).resolve(get)
    # A preset allows what it declares.
    assert reader(sizes=frozenset({12})).resolve(HttpRequest("GET", "cat.jpg", "w=10&fm=webp")).declared


@pytest.mark.parametrize(
    "query",
    [
        "w=12&min-w=13&fm=webp",
        "h=13&fm=webp",
        "w=12&min-h=7&fm=webp",
        "zoom=0.4&fm=webp",
        "w=12&then=resize:12:13&fm=webp",
        "w=12&then=grey:1&then=canvas:13:12:0:0&fm=webp",
    ],
)
def test_sizes_apply_to_every_size_parameter(query):
    with pytest.raises(SizeNotAllowed):
        reader(sizes=frozenset({12})).resolve(signed("cat.jpg", query))


@pytest.mark.parametrize("name", ["over", "then"])
@pytest.mark.parametrize(("overlays", "allowed"), [(None, False), ("logos/", True), ("other/", False)])
def test_overlay_keys_are_restricted_by_policy(overlays, allowed, name):
    get = signed("cat.jpg", f"fm=webp&{name}=image:logos~2fa.png")
    if allowed:
        assert f"{name}=image" in reader(overlays=overlays).resolve(get).stored_key
    else:
        with pytest.raises(InvalidRequest):
            reader(overlays=overlays).resolve(get)


def test_only_ignored_parameters_may_follow_a_stored_name():
    """In any order: a parameter after an ignored one was once overlooked."""
    for query in ("v=1&w=11", "w=11&v=1", "v=1&s=x&kid=a", "s=x&kid=a&v=1"):
        with pytest.raises(Forbidden):
            reader(None).resolve(HttpRequest("GET", "cat.jpg/w=10,fm=webp.webp", query))


def test_the_stored_name_of_a_long_key_is_resolved_without_transformation():
    stored = rendition_prefix(LONG) + "w=10,fm=webp.webp"
    resolved = reader(None).resolve(HttpRequest("GET", stored))
    assert (resolved.stored_key, resolved.transformation, resolved.declared) == (stored, None, False)
    with pytest.raises(SignatureMissing):
        reader(None).resolve(HttpRequest("GET", rendition_prefix(LONG) + "~w=11,fm=webp.webp"))


@pytest.mark.parametrize(
    ("path", "query"),
    [("", ""), ("..", "w=10"), ("a/../../b", "w=10&fm=webp"), ("%00", ""), ("a" * 1025, "w=10"), ("", "w=1")],
)
def test_an_invalid_key_is_reported(path, query):
    with pytest.raises(InvalidKey):
        reader(None).resolve(HttpRequest("GET", path, query))
    with pytest.raises(SignatureMismatch):
        reader(None).resolve(HttpRequest("GET", path, f"{query}&s=A&kid=a"))


def test_a_url_with_an_altered_question_mark_is_forbidden():
    url = f"cat.jpg?{signed('cat.jpg', 'w=11&fm=webp').query}".encode()
    for sign in b"/,~&#%\0":
        with pytest.raises(Forbidden):
            reader(None).resolve(get_of(url.replace(b"?", bytes([sign]))))


@given(KEYS, st.dictionaries(st.sampled_from(["x-forwarded-host", "accept", "host", "range"]), st.text()))
def test_headers_change_the_rendition_only_if_vary_lists_them(key, headers):
    """Promise 38, second half: no header but Accept changes the rendition."""
    for query, varies in (("w=11&fm=webp", ()), ("w=11", ()), ("w=11&fm=auto", ("Accept",))):
        get = signed(quote(key), query)
        plain, played = (reader().resolve(replace(get, headers=each)) for each in ({}, headers))
        assert plain.vary == played.vary == varies
        assert plain == played or (varies and "accept" in headers)


@pytest.mark.parametrize(
    ("query", "headers", "name", "vary"),
    [
        ("w=10&fm=auto", {"accept": "image/webp"}, "w=10,fm=webp.webp", ("Accept",)),
        ("preset=small", {"accept": "image/avif,image/webp"}, "w=20,fm=webp.webp", ("Accept",)),
        ("preset=one", {"accept": "image/avif,image/webp"}, "w=30,fm=png.png", ()),
        ("preset=small&fm=webp", {"accept": "image/avif"}, "w=20,fm=webp.webp", ()),
        ("w=auto&fm=webp", {"sec-ch-width": "9"}, "~w=160,fm=webp.webp", ("Sec-CH-Width", "Width")),
        ("w=10&dpr=auto&fm=webp", {"sec-ch-dpr": "2"}, "w=20,fm=webp.webp", ("Sec-CH-DPR", "DPR")),
        ("w=10&dpr=auto&fm=webp", {"dpr": "1.5"}, "w=20,fm=webp.webp", ("Sec-CH-DPR", "DPR")),
    ],
)
def test_vary_lists_the_headers_used(query, headers, name, vary):
    get = replace(signed("cat.jpg", query), headers=headers)
    resolved = reader(hints=True).resolve(get)
    assert (resolved.stored_key, resolved.vary) == (f"cat.jpg/{name}", vary)


def test_a_missing_original_uses_the_metadata_of_the_fallback():
    missing = NotFound("cat.jpg")
    with pytest.raises(NotFound):
        reader(missing).resolve(HttpRequest("GET", "cat.jpg", "w=10&fm=auto"))
    with pytest.raises(NotFound, match=r"cat\.jpg"):
        reader(missing, fallback="sorry.png").resolve(HttpRequest("GET", "cat.jpg", "w=10&fm=auto"))

    def metadata_of(key):
        if key == "sorry.png":
            return replace(JPEG, alpha=True)
        raise missing

    policy = Policy(keyring=RING, fallback="sorry.png")
    resolved = RequestResolver(RECIPE, policy, metadata_of, lambda: NOW).resolve(
        signed("cat.jpg", "w=11&fm=auto")
    )
    assert resolved.stored_key == "cat.jpg/~w=11,fm=png.png"


PRIVATE = parse_recipe("""
[presets.shown]
width = 10
formats = ["webp"]
[presets.hidden]
width = 20
formats = ["webp", "jpeg"]
public = false
[[rules]]
match = "**"
presets = ["shown", "hidden"]
""")


@pytest.mark.parametrize(
    ("path", "query", "stored"),
    [
        ("cat.jpg/w=20,fm=webp.webp", "", "cat.jpg/~w=20,fm=webp.webp"),
        ("cat.jpg/~w=20,fm=webp.webp", "", "cat.jpg/~w=20,fm=webp.webp"),
        ("cat.jpg/%7Ew=20,fm=webp.webp", "v=1", "cat.jpg/~w=20,fm=webp.webp"),
        ("cat.jpg", "w=20&fm=webp", "cat.jpg/~w=20,fm=webp.webp"),
        ("cat.jpg", "w=20&fm=auto", "cat.jpg/~w=20,fm=jpeg.jpg"),
        ("cat.jpg", "preset=hidden", "cat.jpg/~w=20,fm=jpeg.jpg"),
        ("cat.jpg", "preset=shown&w=20", "cat.jpg/~w=20,fm=webp.webp"),
    ],
)
def test_a_private_preset_needs_a_signature_and_is_made_by_ingest(path, query, stored):
    reads = RequestResolver(PRIVATE, Policy(keyring=RING), lambda _: JPEG, lambda: NOW)
    with pytest.raises(SignatureMissing):
        reads.resolve(HttpRequest("GET", path, query))
    resolved = reads.resolve(signed(path, query))
    assert (resolved.stored_key, resolved.declared, resolved.is_public) == (stored, True, False)


def test_a_response_is_not_cached_beyond_the_end_of_its_signature():
    url = parse_url("cat.jpg", "w=11&fm=webp")
    signature = RING.sign(url, 2_000_000_000)
    ref = reader().resolve(HttpRequest("GET", "cat.jpg", f"w=11&fm=webp&{signature_query(signature)}"))
    assert ref.expires == 2_000_000_000
    assert reader().resolve(signed("cat.jpg", "w=11&fm=webp")).expires is None
