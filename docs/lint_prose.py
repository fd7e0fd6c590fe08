"""Checks spelling and plain English of pages, help texts, messages and the studio. `make style` runs it.

In docstrings and comments of the program it finds archaic words and metaphors. Rules are in prose.toml.
Each finding is one line, `file:line: what is wrong, what to write instead`. With one or more the exit status
is 1.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from prose import (
    CODE,
    ROOT,
    Kind,
    Text,
    can_read_studio,
    clauses,
    comments,
    grade,
    messages,
    pages,
    texts_of_page,
    texts_of_studio,
    words,
)
from spellchecker import SpellChecker

RULES = Path(__file__).with_name("prose.toml")
_REPEATED = re.compile(r"\b([A-Za-z]+)\s+\1\b(?!\.\w)", re.IGNORECASE)
_IN_COMMENTS = frozenset({"archaic", "metaphors"})
_MAY_REPEAT = frozenset({"that", "had", "key"})
_CHUNK = re.compile(r"[^\s()\[\]\"|,;]+")
# A name, a path, a value or a word in another language's letters is none of the dictionary's.
_NAME = re.compile(r"[\w)][./@_=:&%~$#*+<>{}\\][\w(]|\d|[^\x00-\x7f]|^[-@/$%#<\\{.~]|[a-z][A-Z]|[A-Z]{2}")


@dataclass(frozen=True)
class Rules:
    """Limits, the words that the dictionary lacks, and what to write instead of which pattern."""

    grade: float
    clause_words: int
    words: frozenset[str]
    phrases: tuple[tuple[str, re.Pattern[str], str], ...]

    @classmethod
    def load(cls, path: Path = RULES) -> Rules:
        """The rules of a file."""
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        groups = {name: value for name, value in table.items() if isinstance(value, dict)}
        phrases = tuple(
            (group, re.compile(rf"(?<![\w/])(?:{pattern})(?!\w)", re.IGNORECASE), instead)
            for group, patterns in groups.items()
            for pattern, instead in patterns.items()
        )
        return cls(
            table["grade"],
            table["clause_words"],
            frozenset(f"{table['british']} {table['field']}".split()),
            phrases,
        )


def _phrases(text: Text, rules: Rules, groups: Collection[str] | None = None) -> Iterator[str]:
    for group, pattern, instead in rules.phrases:
        if groups is None or group in groups:
            for match in pattern.finditer(text.text):
                yield f"{match[0]!r} ({group}): write {instead!r}"


def check(text: Text, rules: Rules) -> Iterator[str]:
    """What is wrong with a text, one sentence each."""
    if text.kind is Kind.COMMENT:
        yield from _phrases(text, rules, _IN_COMMENTS)
        return
    for word in unknown_words(text.text, rules):
        yield f"{word!r} is misspelled, or missing from `field` in docs/prose.toml"
    yield from _phrases(text, rules)
    for match in _REPEATED.finditer(text.text):
        if match[1].lower() not in _MAY_REPEAT and text.kind is not Kind.CELL:
            yield f"{match[1]!r} is repeated"
    if text.kind is Kind.SENTENCES:
        for clause in clauses(text.text):
            count = len(words(clause))
            if count > rules.clause_words:
                start = " ".join(clause.split()[:6])
                yield f"expected at most {rules.clause_words} words without a stop, got {count}: {start} ..."


def unknown_words(text: str, rules: Rules) -> Iterator[str]:
    """Words that neither the dictionary nor the rules have. Names such as WebP or a.toml are left out."""
    for chunk in _CHUNK.findall(text):
        if CODE in chunk or _NAME.search(chunk.rstrip(".:!?*'")):
            continue
        for word in re.findall(r"[A-Za-z][A-Za-z']+", chunk):
            plain = word.strip("'").removesuffix("'s").lower()
            if not _is_known(plain, rules.words):
                yield word


def _is_known(word: str, more: frozenset[str]) -> bool:
    forms = {word, word.removesuffix("s")}
    return not word or bool(forms & more) or word in _dictionary()


@cache
def _dictionary() -> SpellChecker:
    return SpellChecker()


def findings(texts: Iterable[Text], rules: Rules) -> Iterator[str]:
    """A line for each finding."""
    for text in texts:
        place = f"{text.file.relative_to(ROOT)}:{text.line}"
        yield from (f"{place}: {finding}" for finding in check(text, rules))


def hard_pages(found: Iterable[Path], rules: Rules) -> Iterator[str]:
    """A line for each page that is too hard to read."""
    for page in found:
        reached = grade(page)
        if reached > rules.grade:
            yield (
                f"{page.relative_to(ROOT)}:1: expected a reading grade of at most {rules.grade}, got"
                f" {reached:.1f}: write shorter sentences and words"
            )


def main(arguments: list[str]) -> int:
    """Check the pages that are named, or else all pages, help texts, messages and the studio."""
    rules = Rules.load()
    chosen = [Path(name).resolve() for name in arguments]
    texts = [text for page in chosen or pages() for text in texts_of_page(page)]
    if not chosen:
        texts += [*messages(), *comments()]
        if can_read_studio():
            texts += texts_of_studio()
        else:
            sys.stderr.write("the studio was not checked: expected Node.js, and `npm ci --prefix studio`\n")
    found = [*findings(texts, rules), *hard_pages(chosen or pages(), rules)]
    sys.stdout.writelines(f"{line}\n" for line in found)
    if found:
        sys.stderr.write(f"{len(found)} findings; docs/prose.toml has the rules\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
