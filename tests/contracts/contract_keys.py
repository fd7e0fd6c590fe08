"""Keys, attributes and helpers for the contract suites of object stores."""

from __future__ import annotations

from collections.abc import Iterable

from domain_strategies import is_legal
from hypothesis import strategies as st

from image_processor.domain.ports import Attributes, Entry

PLAIN = Attributes()
FULL = Attributes("image/webp", "public, max-age=31536000, immutable", {"fingerprint": "ab12", "empty": ""})

# Keys that file systems reject, and keys of which one is a folder of another.
DIFFICULT_KEYS = (
    "a",
    "a/b",
    "a/b/c",
    "a/",
    "a//b",
    "/a",
    "/",
    "a.b",
    "a-b",
    "a0",
    ".",
    "./a",
    "a/.",
    "a/..",
    "a/../b",
    "x/y/../../z",
    ".image-processor",
    ".image-processor/lock",
    ".Image-Processor/tmp/x",
    ".image-processor/odd/a=",
    "x/.image-processor/y",
    "n" * 256,
    "n" * 1024,
    "n" * 1023 + "/",
    "d/" * 512,
    # The directory store splits encoded keys into pieces of 40 bytes.
    "//" + "m" * 38,
    "//" + "m" * 38 + "!",
    "é" * 128,
    "\u00e9" + "/" + "e\u0301",
    "\n",
    "tab\tand\x01\x7f",
    "\\",
    "a:b*?<>|",
    "con",
    "trailing ",
    "trailing.",
    "%2F",
    "a%2Fb=",
    "\U0010ffff",
    "\ufffd",
    "🐈/🐈",
)
ILLEGAL_KEYS = ("", "n" * 1025, "é" * 513, "..", "../a", "a/../../b", "a\0b", "\ud800")


def keys_of(entries: Iterable[Entry]) -> list[str]:
    return [entry.key for entry in entries]


def in_order(keys: Iterable[str]) -> list[str]:
    return sorted(keys, key=str.encode)


SHORT_KEYS = (
    st.lists(
        st.sampled_from(["a", "b", "", ".", "..", "a.b", "a0", "é", ".image-processor"]),
        min_size=1,
        max_size=4,
    )
    .map("/".join)
    .filter(is_legal)
)
