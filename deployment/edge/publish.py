"""Deployment: tells the function at the CDN's edge what URLs may ask for: keys that sign, and the names
that everybody may see. deploy.sh calls it with the settings of the functions in the environment.

It writes what differs and removes what is no more, so that it can be run at any time. Secrets go to
the AWS CLI in a file of this user's alone and are never shown.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "src"))

from image_processor.config.recipe import DEFAULT_RECIPE, Recipe, Rule, parse_recipe
from image_processor.config.settings import Settings, from_environment
from image_processor.delivery.policy import Policy
from image_processor.delivery.url.parameter_names import AUTO, FORMAT
from image_processor.domain.errors import Invalid
from image_processor.domain.transformation import Transformation, quote

# "Quotas on key value stores", and UpdateKeys of the API reference.
MOST_CHANGES = 50
MOST_KEY, MOST_VALUE, MOST_IN_ALL = 512, 1024, 5 * 1024 * 1024

# A longer text is no name, neither here nor there.
LONGEST_TEXT = 200

EVERYWHERE = "all"
SOMEWHERE = "some"
_COMPLETE = "names"

Store = Mapping[str, str]
Call = Callable[[str, Mapping[str, Any]], dict[str, Any]]
"""One call of the service: an operation and its input; the output."""


def entries(recipe: Recipe, settings: Settings) -> dict[str, str]:
    """What the store should hold, as viewer_request.js reads it. Raises ValueError for what does not fit."""
    found = {f"k/{kid}": secret for kid, secret in settings.signing_keys}
    if settings.hints:
        found |= {"hints": "1", "ladder": ",".join(map(str, Policy().hint_widths))}
    if settings.dialects:
        found["dialects"] = "1"
    # Where everybody may ask for everything, no list is complete.
    if not settings.allow_unsigned:
        found |= {f"n/{name}": where for name, where in _names(recipe).items()}
        found |= {f"p/{quote(name)}": SOMEWHERE for name in recipe.presets.keys() - recipe.private}
        found[_COMPLETE] = "1"
    _check(found)
    return found


def _names(recipe: Recipe) -> dict[str, str]:
    """The names that everybody may see, and whether that is so of every original; with them what is
    settled for an original into one of them: the same without a format, and with `fm=auto`."""
    by_rule = [{one.name: one for one in _public(recipe, rule)} for rule in recipe.rules]
    complete = any(rule.match == "**" for rule in recipe.rules)
    found: dict[str, str] = {}
    for declared in by_rule:
        for name, transformation in declared.items():
            text = str(transformation).rpartition(f"{FORMAT}=")[0]
            if len(text) <= LONGEST_TEXT:
                found |= {text.rstrip(","): SOMEWHERE, f"{text}{FORMAT}={AUTO}": SOMEWHERE}
            everywhere = complete and all(name in other for other in by_rule)
            found[name] = EVERYWHERE if everywhere else SOMEWHERE
    return found


def _public(recipe: Recipe, rule: Rule) -> Iterator[Transformation]:
    for name in rule.presets:
        if name not in recipe.private:
            yield from recipe.presets[name]


def _check(found: Store) -> None:
    for key, value in found.items():
        if len(key.encode()) > MOST_KEY or len(value.encode()) > MOST_VALUE:
            shown = key if not key.startswith("k/") else "a signing key"
            raise ValueError(
                f"expected at most {MOST_KEY} bytes of key and {MOST_VALUE} of value, got {shown}"
            )
    size = sum(len(key.encode()) + len(value.encode()) for key, value in found.items())
    if size > MOST_IN_ALL:
        raise ValueError(f"expected at most {MOST_IN_ALL} bytes in the store, got {size}")


def changes(wanted: Store, stored: Store) -> Iterator[tuple[str, str | None]]:
    """What to put (key and value) and to delete (key and None), in an order in which the store is right
    at any time: the lists are complete before they are said to be, and not said to be before they shrink."""
    if _COMPLETE in stored and _COMPLETE not in wanted:
        yield _COMPLETE, None
    puts = [(key, value) for key, value in wanted.items() if stored.get(key) != value]
    yield from sorted(puts, key=lambda put: (put[0] == _COMPLETE, put[0]))
    yield from ((key, None) for key in sorted(stored.keys() - wanted.keys() - {_COMPLETE}))


def publish(wanted: Store, store: str, call: Call) -> int:
    """Make the store with the ARN ``store`` hold what is ``wanted``; how many entries had to change."""
    etag = call("describe-key-value-store", {"KvsARN": store})["ETag"]
    listed = call("list-keys", {"KvsARN": store}).get("Items", [])
    todo = changes(wanted, {item["Key"]: item["Value"] for item in listed})
    count = 0
    while batch := list(islice(todo, MOST_CHANGES)):
        puts = [{"Key": key, "Value": value} for key, value in batch if value is not None]
        deletes = [{"Key": key} for key, value in batch if value is None]
        given = {"KvsARN": store, "IfMatch": etag, "Puts": puts, "Deletes": deletes}
        etag = call("update-keys", given)["ETag"]
        count += len(batch)
    return count


def aws(operation: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The AWS CLI. What it reads and prints may be secret: only its complaints are shown."""
    # The CLI reads its input twice, so that a pipe will not do. Nobody else may read this file.
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(given, file)
        file.flush()
        command = (
            f"aws cloudfront-keyvaluestore {operation} --cli-input-json file://{file.name} --output json"
        )
        done = subprocess.run(command.split(), stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise ValueError(
            f"expected aws cloudfront-keyvaluestore {operation} to succeed, got {done.returncode}"
        )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def main(arguments: list[str] | None = None, call: Call = aws) -> int:
    parser = argparse.ArgumentParser(description="Publish what URLs may ask for to the CDN's edge.")
    parser.add_argument("--store", help="ARN of the key value store; without it, only judge")
    parser.add_argument("--recipe", type=Path, help="the recipe; without it, the built-in one")
    given = parser.parse_args(arguments)
    try:
        recipe = parse_recipe(given.recipe.read_text(encoding="utf-8") if given.recipe else DEFAULT_RECIPE)
        wanted = entries(recipe, from_environment(os.environ))
        if given.store is None:
            return 0
        count = publish(wanted, given.store, call)
    except (Invalid, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    kinds = {kind: sum(key.startswith(f"{kind}/") for key in wanted) for kind in "knp"}
    print(f"   {kinds['k']} signing keys, {kinds['n']} names, {kinds['p']} presets; {count} entries changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
