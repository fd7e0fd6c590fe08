"""The tree of errors: distinct codes, which errors are retryable, pickling."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator

import pytest

from image_processor.domain import errors
from image_processor.domain.errors import ImageProcessorError, Invalid, InvalidKey, Problem, Reason, Refused

RETRYABLE = {
    *("precondition-failed", "claim-busy", "claim-lost", "unavailable", "overloaded", "access-denied"),
    *("catalog-damaged", "insufficient-storage", "source-failed", "share-exceeded"),
}
SAMPLES = [
    ImageProcessorError("text"),
    Refused(Reason.TOO_SLOW, "decoding took more than 60 s of CPU time"),
    InvalidKey.one("key", "1-1024 bytes of UTF-8", "0 bytes"),
    Invalid([Problem("quality", "1-100", "250"), Problem("fit", "cover", "'crop'", line=3)]),
    errors.NotFound("cat.jpg"),
    errors.LeaseLost("cat.jpg"),
    errors.Unreadable("cat.jpg", "v1"),
    errors.AccessDenied("cat.jpg", "403"),
    errors.MissingExtra.of("a package", "some purpose", "extra"),
]


def tree(root: type[ImageProcessorError] = ImageProcessorError) -> Iterator[type[ImageProcessorError]]:
    yield root
    for child in root.__subclasses__():
        yield from tree(child)


def test_every_class_has_a_distinct_code() -> None:
    codes = [class_.code for class_ in tree()]
    assert len(set(codes)) == len(codes)
    assert all("code" in vars(class_) for class_ in tree())


def test_the_tree_is_defined_in_one_module() -> None:
    assert {class_.__module__ for class_ in tree()} == {"image_processor.domain.errors"}
    raisable = {value for value in vars(errors).values() if isinstance(value, type)}
    assert set(tree()) <= raisable


def test_only_transient_errors_are_retryable() -> None:
    assert {class_.code for class_ in tree() if class_.retryable} == RETRYABLE


@pytest.mark.parametrize("error", SAMPLES, ids=lambda error: type(error).code)
@pytest.mark.parametrize("carry", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy])
def test_errors_survive_pickling(
    error: ImageProcessorError, carry: Callable[[ImageProcessorError], ImageProcessorError]
) -> None:
    arrived = carry(error)
    assert type(arrived) is type(error)
    assert str(arrived) == str(error)
    assert vars(arrived) == vars(error)


def test_a_problem_reads_as_one_sentence() -> None:
    assert str(Problem("quality", "1-100", "250")) == "expected 1-100 for quality, got 250"
    assert str(Problem("fit", "cover", "'x'", line=7)) == "line 7: expected cover for fit, got 'x'"


def test_invalid_reports_every_problem_with_the_repr_of_the_value() -> None:
    both = Invalid([Problem("a", "1", "2"), Problem("b", "3", "4")])
    assert str(both) == "expected 1 for a, got 2; expected 3 for b, got 4"
    assert str(Invalid.one("name", "a word", "two words")) == "expected a word for name, got 'two words'"


def test_a_refusal_starts_with_its_reason() -> None:
    assert str(Refused(Reason.TOO_MANY_PIXELS, "36 GP")) == "too-many-pixels: 36 GP"


def test_reasons_are_lower_case_words_with_hyphens() -> None:
    assert all(reason.value == reason.name.lower().replace("_", "-") for reason in Reason)


def test_a_problem_shows_nothing_that_garbles_a_line() -> None:
    problem = Problem("a\nb", "c", "d\ud800\x1b")
    assert str(problem) == r"expected c for 'a\nb', got 'd\ud800\x1b'"
    assert (problem.name, problem.got) == (r"'a\nb'", r"'d\ud800\x1b'")
    assert pickle.loads(pickle.dumps(problem)) == problem
    assert Problem("größe", "c", "d e") == Problem("größe", "c", "d e", None)
