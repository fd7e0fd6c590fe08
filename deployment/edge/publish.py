"""Publishes signing keys and public names to the key value store of the CloudFront function. deploy.py
calls it after a deployment; as a program it reads the functions' settings from the environment.

It writes and deletes only the differences, and can be run at any time. Secrets are passed to the AWS CLI in
a file that only this user can read, and are never printed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "src"))

from image_processor.config.recipe import DEFAULT_RECIPE, Recipe, Rule, parse_recipe
from image_processor.config.settings import Settings, from_environment
from image_processor.delivery.http.negotiation import MODERN
from image_processor.delivery.policy import Policy
from image_processor.delivery.url.parameter_names import AUTO, FORMAT
from image_processor.domain.errors import Invalid
from image_processor.domain.transformation import Transformation, quote

# "Quotas on key value stores", and UpdateKeys of the API reference.
MAX_CHANGES = 50
MAX_KEY, MAX_VALUE, MAX_TOTAL = 512, 1024, 5 * 1024 * 1024

# A longer transformation is no stored name, neither in delivery nor in the CloudFront function.
MAX_NAME = 200

FOR_ALL = "all"
FOR_SOME = "some"
"""Whether a name is public for every original or only for some. A request whose format is negotiated has the
declared formats of MODERN instead, if there are any."""
_COMPLETE = "names"

Store = Mapping[str, str]
Call = Callable[[str, Mapping[str, Any]], dict[str, Any]]
"""Calls an operation of the service with its parameters. Returns the output."""


def entries(recipe: Recipe, settings: Settings) -> dict[str, str]:
    """The entries of the store, as viewer_request.js reads them. Raises ValueError if they exceed a quota."""
    found = {f"k/{kid}": secret for kid, secret in settings.signing_keys}
    if settings.hints:
        found["hints"] = ",".join(map(str, Policy().hint_widths))
    if settings.dialects:
        found["dialects"] = "1"
    # If unsigned requests are allowed, every name is public and no list is complete.
    if settings.allow_unsigned:
        found["unsigned"] = "1"
    else:
        found |= {f"n/{name}": where for name, where in _names(recipe).items()}
        found |= {
            f"p/{quote(name)}": _modern(transformation.format for transformation in transformations)
            for name, transformations in recipe.presets.items()
            if name not in recipe.private
        }
        found[_COMPLETE] = "1"
    _check(found)
    return found


def _names(recipe: Recipe) -> dict[str, str]:
    """The public names, and whether each is public for every original. Included are requests that resolve to
    one of them: the same without a format, and with `fm=auto` and the formats to negotiate."""
    by_rule = [
        {transformation.name: transformation for transformation in _public(recipe, rule)}
        for rule in recipe.rules
    ]
    complete = any(rule.match == "**" for rule in recipe.rules)
    found: dict[str, str] = {}
    formats: dict[str, set[str]] = {}
    for declared in by_rule:
        for name, transformation in declared.items():
            text = str(transformation).rpartition(f"{FORMAT}=")[0]
            if len(text) <= MAX_NAME:
                found[text.rstrip(",")] = FOR_SOME
                formats.setdefault(f"{text}{FORMAT}={AUTO}", set()).add(transformation.format)
            for_all = complete and all(name in other for other in by_rule)
            found[name] = FOR_ALL if for_all else FOR_SOME
    return found | {name: _modern(declared) for name, declared in formats.items()}


def _modern(formats: Iterable[str]) -> str:
    """Those of ``formats`` that depend on the client's Accept header."""
    declared = set(formats)
    return ",".join(name for name in MODERN if name in declared) or FOR_SOME


def _public(recipe: Recipe, rule: Rule) -> Iterator[Transformation]:
    for name in rule.presets:
        if name not in recipe.private:
            yield from recipe.presets[name]


def _check(found: Store) -> None:
    for key, value in found.items():
        if len(key.encode()) > MAX_KEY or len(value.encode()) > MAX_VALUE:
            shown = key if not key.startswith("k/") else "a signing key"
            raise ValueError(f"expected at most {MAX_KEY} bytes of key and {MAX_VALUE} of value, got {shown}")
    size = sum(len(key.encode()) + len(value.encode()) for key, value in found.items())
    if size > MAX_TOTAL:
        raise ValueError(f"expected at most {MAX_TOTAL} bytes in the store, got {size}")


def changes(wanted: Store, stored: Store) -> Iterator[tuple[str, str | None]]:
    """The entries to put (key and value) and to delete (key and None), in an order that keeps the store
    consistent: lists are marked complete after they have grown, and unmarked before they shrink."""
    if _COMPLETE in stored and _COMPLETE not in wanted:
        yield _COMPLETE, None
    puts = [(key, value) for key, value in wanted.items() if stored.get(key) != value]
    yield from sorted(puts, key=lambda put: (put[0] == _COMPLETE, put[0]))
    yield from ((key, None) for key in sorted(stored.keys() - wanted.keys() - {_COMPLETE}))


def publish(wanted: Store, store: str, call: Call, *, may_empty: bool = False) -> int:
    """Make the store with the ARN ``store`` hold ``wanted``. Returns the number of changed entries.

    Raises ValueError, and changes nothing, if all signing keys or all entries would be deleted: every signed
    URL would be refused. ``may_empty`` allows it.
    """
    etag = call("describe-key-value-store", {"KvsARN": store})["ETag"]
    listed = call("list-keys", {"KvsARN": store}).get("Items", [])
    stored = {item["Key"]: item["Value"] for item in listed}
    if not may_empty:
        _refuse_to_empty(wanted, stored)
    pending = changes(wanted, stored)
    count = 0
    while batch := list(islice(pending, MAX_CHANGES)):
        puts = [{"Key": key, "Value": value} for key, value in batch if value is not None]
        deletes = [{"Key": key} for key, value in batch if value is None]
        parameters = {"KvsARN": store, "IfMatch": etag, "Puts": puts, "Deletes": deletes}
        etag = call("update-keys", parameters)["ETag"]
        count += len(batch)
    return count


def _refuse_to_empty(wanted: Store, stored: Store) -> None:
    for what, prefix, parameter in (
        ("signing keys", "k/", "SigningKeysSecret="),
        ("entries", "", "AllowUnsigned=true"),
    ):
        kept, count = _count(wanted, prefix), _count(stored, prefix)
        if count and not kept:
            raise ValueError(
                f"expected {what} for the CloudFront function's store, got none while it holds {count}: "
                f"to delete them all, run deploy.sh with {parameter}, or publish.py with --allow-empty"
            )


def _count(entries: Store, prefix: str) -> int:
    return sum(key.startswith(prefix) for key in entries)


def summary(wanted: Store, changed: int) -> str:
    """What was published, without any secret."""
    keys, names, presets = (_count(wanted, prefix) for prefix in ("k/", "n/", "p/"))
    return f"{keys} signing keys, {names} names, {presets} presets; {changed} entries changed"


def aws(operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Call the AWS CLI. Its input and output may be secret: only its error messages are shown."""
    # The CLI reads its input twice, which rules out a pipe. Only this user can read the file.
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(parameters, file)
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
    parser = argparse.ArgumentParser(
        description="Publish signing keys and public names to the CloudFront function."
    )
    parser.add_argument("--store", help="ARN of the key value store; without it, only validate")
    parser.add_argument("--recipe", type=Path, help="the recipe; without it, the built-in one")
    parser.add_argument(
        "--allow-empty", action="store_true", help="delete all keys or entries if none is wanted"
    )
    options = parser.parse_args(arguments)
    try:
        recipe = parse_recipe(
            options.recipe.read_text(encoding="utf-8") if options.recipe else DEFAULT_RECIPE
        )
        wanted = entries(recipe, from_environment(os.environ))
        if options.store is None:
            return 0
        count = publish(wanted, options.store, call, may_empty=options.allow_empty)
    except (Invalid, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    print(f"   {summary(wanted, count)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
