"""The project's URLs: each transformation has one canonical form of its own (promise 38)."""

from __future__ import annotations

import os
from contextlib import suppress
from urllib.parse import quote

import pytest
from domain_strategies import TRANSFORMATIONS
from hypothesis import given, settings
from hypothesis import strategies as st

from image_processor.delivery.request import parse_request
from image_processor.delivery.url.parameter_names import (
    ALIASES,
    AUTO_WORDS,
    IGNORED,
    PARAMETER_ORDER,
    SIGNATURE_PARAMETERS,
    VALUE_ALIASES,
)
from image_processor.delivery.url.parser import MAX_URL, ParsedUrl, UrlSignature, canonical_pairs, parse_url
from image_processor.domain.errors import InvalidRequest, InvalidTransformation
from image_processor.domain.transformation import PARAMETERS, Transformation, parse
from support.url_strategies import KEYS, PAIRS, path_form, paths, same_meaning


@given(st.data(), KEYS, PAIRS.filter(bool))
@settings(max_examples=3000 if os.environ.get("STRESS") else 100)
def test_equivalent_urls_have_one_canonical_form(data, key, pairs):
    address = ParsedUrl(key, canonical_pairs(pairs))
    read = parse_url(data.draw(paths(key)), data.draw(same_meaning(pairs)))
    assert read == address
    assert (read.text, read.string_to_sign) == (address.text, address.string_to_sign)


def is_readable(transformation):
    """Whether its stored name is not a digest."""
    return transformation.name.startswith(str(transformation))


@given(KEYS, TRANSFORMATIONS.filter(is_readable), st.sampled_from(["", "~"]))
@settings(max_examples=50)
def test_path_and_query_form_of_a_transformation_meet(key, transformation, private):
    named = parse_url(path_form(key, transformation, private))
    in_query = parse_url(quote(key), str(transformation).replace(",", "&"))
    assert (named.key, named.pairs, named.named) == (key, in_query.pairs, True)
    assert named.string_to_sign == in_query.string_to_sign
    asked = parse_request(named, signed=True)
    assert Transformation(**asked.values, format=asked.format) == transformation


@given(TRANSFORMATIONS)
@settings(max_examples=50)
def test_the_canonical_text_is_that_of_the_transformation(transformation):
    text = str(transformation)
    address = parse_url("k", text.replace(",", "&"))
    assert parse(address.text) == transformation
    assert address.text == text


@given(KEYS, PAIRS, KEYS, PAIRS)
@settings(max_examples=300)
def test_two_urls_share_a_string_to_sign_only_if_they_are_equal(key, pairs, other_key, other_pairs):
    signature = UrlSignature("", "a", "1900000000")
    one = ParsedUrl(key, canonical_pairs(pairs), signature)
    other = ParsedUrl(other_key, canonical_pairs(other_pairs), signature)
    assert (one.string_to_sign == other.string_to_sign) == (one == other)


@pytest.mark.parametrize("key", ["a?w=1", "a?", "a?kid=a&w=1", "a/w=1", "a%3Fw=1"])
def test_a_key_that_looks_like_a_query_is_a_key(key):
    signature = UrlSignature("", "a")
    texts = {
        ParsedUrl(one, pairs, signature).string_to_sign
        for one in (key, "a")
        for pairs in ((), (("w", "1"),), (("w", "2"),))
    }
    assert len(texts) == 6


ANYTHING = st.text(max_size=60) | st.text("abwhfm=&?%/,~:;.+012\0\n ", max_size=80)


@given(ANYTHING, ANYTHING)
@settings(max_examples=500)
def test_garbage_raises_invalid_request_only(path, query):
    for encode in (str, quote):
        with suppress(InvalidRequest):
            parse_request(parse_url(encode(path), encode(query)), signed=True)


@given(st.sampled_from([row.name for row in PARAMETERS]), st.text("0123456789.:-;~afx#", max_size=12))
@settings(max_examples=500)
def test_any_value_becomes_a_transformation_or_an_error(name, value):
    with suppress(InvalidRequest, InvalidTransformation):
        asked = parse_request(parse_url("k", f"{name}={quote(value)}&fm=webp"), signed=True)
        assert parse(str(Transformation(**asked.values, format="webp")))


def problems_of(path, query=""):
    with pytest.raises(InvalidRequest) as caught:
        parse_request(parse_url(path, query), signed=True)
    return {problem.name for problem in caught.value.problems}


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("x=1", {"parameter"}),
        ("w=1&w=2", {"w"}),
        ("w=1&width=2&h=x y", {"w", "h"}),
        ("w=1,2", {"w"}),
        ("w=%FF", {"the query"}),
        ("s=a&s=a", {"s, kid and expires"}),
        ("kid=a&expires=1&kid=a", {"s, kid and expires"}),
        ("fm=heic", {"fm"}),
        ("preset=a~zz", {"preset"}),
        ("auto=magic", {"parameter"}),
        ("fp-x=0.5", {"parameter"}),
        ("q=0&w=0&fit=round", {"q", "w", "fit"}),
        ("KID=a", {"parameter"}),
        ("blurr=3&w=0&fm=heic", {"parameter", "w", "fm"}),
        ("w=1&w=2&h=x y&q=0", {"w", "h", "q"}),
    ],
)
def test_all_problems_name_their_parameters(query, names):
    assert problems_of("k", query) == names


def test_a_url_has_the_maximum_length_of_the_cdn():
    path, query = "k", "over=text:"
    query += "a" * (MAX_URL - len(path) - len(query))
    assert problems_of(path, query) == {"text"}
    assert problems_of(path, query + "a") == {"the URL"}


def test_a_long_list_of_problems_is_truncated():
    with pytest.raises(InvalidRequest) as caught:
        parse_url("k", "&".join(f"no{number}=1" for number in range(900)))
    assert len(caught.value.problems) == 20


@pytest.mark.parametrize(
    ("path", "key", "text"),
    [
        ("cat.jpg", "cat.jpg", ""),
        ("cat.jpg/w=1,fm=webp.webp", "cat.jpg", "w=1,fm=webp"),
        ("cat.jpg/fm=webp,w=1", "cat.jpg", "w=1,fm=webp"),
        ("cat.jpg/w=1.webp", "cat.jpg", "w=1.webp"),
        ("cat.jpg/~", "cat.jpg", ""),
        ("cat.jpg/~w=1", "cat.jpg", "w=1"),
        ("cat.jpg/", "cat.jpg/", ""),
        ("w=1,fm=webp.webp", "w=1,fm=webp.webp", ""),
        ("/w=1,fm=webp.webp", "/w=1,fm=webp.webp", ""),
        ("a%2Fw=1,fm=webp.webp", "a", "w=1,fm=webp"),
        ("a//w=1", "a/", "w=1"),
    ],
)
def test_the_last_path_segment_may_be_a_transformation(path, key, text):
    address = parse_url(path)
    assert (address.key, address.text) == (key, text)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("auto=format,compress", "q=auto,fm=auto"),
        ("fp-x=0.2&fp-y=0.7", "fp=0.2:0.7"),
        ("fp-y=0.7&fp-x=0.2", "fp=0.2:0.7"),
        ("fit=crop&crop=top,left", "fit=cover,g=northwest"),
        ("over=text:B&over=text:A", "over=text:B,over=text:A"),
        ("over=text:A~2Fb", "over=text:A~2fb"),
        ("preset=Big", "preset=Big"),
        ("bg=%23FF0000&fm=JPG", "bg=ff0000,fm=jpeg"),
        ("v=1&v=2", ""),
        ("utm_source=x&w=20&fbclid=IwAR0&gclid=1&msclkid=2&utm_anything=%F0%9F%90%B1", "w=20"),
    ],
)
def test_aliases_of_other_tools_are_accepted(query, text):
    assert parse_url("k", query).text == text


@pytest.mark.parametrize("name", ["utm", "utmx", "xgclid", "gclidx", "ref", "source"])
def test_other_unknown_names_are_errors(name):
    with pytest.raises(InvalidRequest, match=name):
        parse_url("k", f"w=20&{name}=1")


@pytest.mark.parametrize("name", ["utm_source", "fbclid", "gclid", "v"])
def test_tracking_parameters_are_not_signed(name):
    """A service that appends one to a signed link does not break it."""
    signed, clicked = (parse_url("k", f"{more}w=20&kid=a&s=x") for more in ("", f"{name}=1&"))
    assert (clicked, clicked.string_to_sign) == (signed, signed.string_to_sign)


def test_the_name_tables_agree_with_the_vocabulary():
    names = {row.name for row in PARAMETERS}
    assert names | {"preset"} == set(PARAMETER_ORDER)
    assert set(ALIASES.values()) <= names
    assert {name for name, _ in AUTO_WORDS.values()} <= names
    for taken in (set(ALIASES), set(SIGNATURE_PARAMETERS), set(IGNORED), {"auto"}):
        assert not taken & names
    assert not set(ALIASES) & {*SIGNATURE_PARAMETERS, *IGNORED}
    for name, aliases in VALUE_ALIASES.items():
        type_ = next(row.type for row in PARAMETERS if row.name == name)
        assert all(type_.is_valid(type_.read(ours)) for ours in aliases.values())
        assert not set(aliases) & set(aliases.values())
