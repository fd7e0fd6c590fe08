"""The actions of the users in one history, drawn from its seed: keys, bytes, times."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from image_processor.config.recipe import Recipe, parse_recipe
from image_processor.domain.transformation import Transformation, parse
from support.ingest import OTHER_RECIPE, RECIPE

# A change from RECIPE keeps some renditions, drops some, and adds one.
LESS = parse_recipe("""
[presets.small]
widths = [10, 15]
formats = ["webp"]
[[rules]]
match = "**"
presets = ["small"]
""")
# Its private renditions have names like on-demand ones.
PRIVATE = parse_recipe("""
[presets.small]
widths = [10, 33]
formats = ["webp"]
[presets.hidden]
widths = [20, 34]
formats = ["webp"]
public = false
[[rules]]
match = "**"
presets = ["small", "hidden"]
""")
# From RECIPE, one rendition becomes lazy; from PRIVATE, one on-demand name becomes a lazy public one.
LAZY = parse_recipe("""
[presets.small]
width = 10
formats = ["webp", "jpeg"]
[presets.large]
widths = [10, 20, 33]
formats = ["webp"]
eager = false
[presets.hidden]
width = 35
formats = ["jpeg"]
public = false
eager = false
[[rules]]
match = "lazy/**"
presets = ["large"]
[[rules]]
match = "**"
presets = ["small", "large", "hidden"]
""")
RECIPES = (RECIPE, OTHER_RECIPE, LESS, PRIVATE, LAZY)

KEYS = (
    "cat.jpg",
    "a",
    "a/b.jpg",
    "a/b.jpg/c.jpg",
    "with space.jpg",
    "plus+plus.jpg",
    "100%.jpg",
    "%2e%2e%2f.jpg",
    "a%20b+c d.jpg",
    "größe/Ünï.jpg",
    "e\u0301\u202e.jpg",
    "😀/👩‍👩‍👧.jpg",
    ".hidden",
    "dots../..x/.y",
    "a/../b.jpg",
    "//double//slash",
    "semi;colon&amp=1?#frag.jpg",
    "quote'\"<>\\|*.jpg",
    "tab\tline\nreturn\r.jpg",
    "\u007f\u0080.jpg",
    "~tilde/" + "0" * 64,
    "k" * 700,
    "é" * 512,
    "long/" + "x" * 1019,
    "folder/",
    "ignored/cat.jpg",
    "a/._metadata",
    "w=10,fm=webp.webp",
    "lazy/cat.jpg",
)


REQUESTED = tuple(map(parse, ("w=20,fm=webp", "w=33,fm=webp", "w=34,fm=webp", "w=35,fm=jpeg", "w=36,fm=png")))
"""The transformations that clients request: more than an original may have at a time."""


@dataclass(frozen=True)
class UserAction:
    """At ``at`` seconds a user uploads ``body`` under ``key``; None deletes it."""

    at: float
    key: str
    body: bytes | None


@dataclass(frozen=True)
class OnDemandRequest:
    """At ``at`` seconds a client requests a rendition that ingest may not make."""

    at: float
    key: str
    transformation: Transformation


@dataclass(frozen=True)
class History:
    actions: tuple[UserAction, ...]
    keys: tuple[str, ...]
    recipe: Recipe
    recipe_change: tuple[float, Recipe] | None
    reconciles: tuple[float, ...]
    noise: tuple[float, ...]
    requests: tuple[OnDemandRequest, ...] = ()


def draw_history(random: Random, *, actions: int = 0, keys: int = 0) -> History:
    """A history of about ten actions on a few keys, or of as many as given."""
    chosen_keys = _keys(random, keys)
    length = random.choice([20.0, 200.0, 3000.0])
    drawn: list[UserAction] = []
    bodies: dict[str, bytes | None] = {}
    for at in sorted(random.uniform(0, length) for _ in range(actions or random.randint(2, 12))):
        key = random.choice(chosen_keys)
        body = _body(random, key, bodies.get(key), len(drawn))
        bodies[key] = body
        drawn.append(UserAction(at, key, body))
    change = (random.uniform(0, length), random.choice(RECIPES)) if random.random() < 0.3 else None
    return History(
        tuple(drawn),
        tuple(chosen_keys),
        random.choice(RECIPES),
        change,
        tuple(random.uniform(0, 2 * length) for _ in range(random.choice([0, 0, 1, 2]))),
        tuple(random.uniform(0, length) for _ in range(random.choice([0, 1, 3]))),
        tuple(_visit(random, chosen_keys, length) for _ in range(random.choice([0, 0, 3, 10]))),
    )


def _visit(random: Random, keys: list[str], length: float) -> OnDemandRequest:
    return OnDemandRequest(random.uniform(0, 1.5 * length), random.choice(keys), random.choice(REQUESTED))


def _keys(random: Random, wanted: int) -> list[str]:
    if wanted:
        return [f"{KEYS[number % 24][:500]}~{number}" for number in range(wanted)]
    return random.sample(KEYS, random.choice([1, 1, 2, 3, 5]))


def _body(random: Random, key: str, before: bytes | None, number: int) -> bytes | None:
    """New bytes, the same again, those of an earlier upload, bytes that are refused, or a deletion."""
    chance = random.random()
    if chance < 0.25:
        return None
    if chance < 0.35 and before is not None:
        return before
    if chance < 0.5:
        return b"bad %d" % number
    if chance < 0.65:
        return b"one of %d" % (len(key) % 7)
    return b"bytes %d" % number
