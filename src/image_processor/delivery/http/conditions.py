"""Delivery, step 4: evaluates conditional and range headers (RFC 9110, sections 13 and 14).

Pure functions of header texts. A header that cannot be parsed counts as absent, as the RFC requires.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum, auto

from msgspec import Struct

_ENTITY_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
# 19 digits exceed the size of any object; a longer number is not a range.
_RANGE = re.compile(r"([0-9]{0,19})-([0-9]{0,19})")


class Validators(Struct, frozen=True):
    """The validators of one state of an object: the strong entity tag without quotes, and the time of
    the last modification."""

    tag: str
    modified: datetime


class PreconditionResult(Enum):
    """The result of evaluating a request's preconditions."""

    PROCEED = auto()
    NOT_MODIFIED = auto()
    FAILED = auto()


def evaluate_preconditions(headers: Mapping[str, str], current: Validators) -> PreconditionResult:
    """Evaluate the preconditions of a GET or HEAD in the order of RFC 9110, section 13.2.2.

    ``headers`` has lower-case names. A condition on the entity tag overrides the one on the time.
    """
    if "if-match" in headers:
        if not _matches(headers["if-match"], current.tag, strong=True):
            return PreconditionResult.FAILED
    elif (until := _parse_time(headers.get("if-unmodified-since"))) and http_time(current.modified) > until:
        return PreconditionResult.FAILED
    if "if-none-match" in headers:
        unchanged = _matches(headers["if-none-match"], current.tag, strong=False)
    else:
        since = _parse_time(headers.get("if-modified-since"))
        unchanged = since is not None and http_time(current.modified) <= since
    return PreconditionResult.NOT_MODIFIED if unchanged else PreconditionResult.PROCEED


def may_write(headers: Mapping[str, str], tag: str | None) -> bool:
    """Whether the entity tag conditions of a PUT hold (RFC 9110, sections 13.1.1 and 13.1.2).

    ``tag`` is the strong entity tag of the current object, without quotes; None if there is no object.
    ``headers`` has lower-case names.
    """
    match, none_match = headers.get("if-match"), headers.get("if-none-match")
    if tag is None:
        return match is None
    if match is not None and not _matches(match, tag, strong=True):
        return False
    return none_match is None or not _matches(none_match, tag, strong=False)


class ByteRange(Struct, frozen=True):
    """The bytes from ``start`` up to, not including, ``stop``."""

    start: int
    stop: int


def requested_range(headers: Mapping[str, str], size: int, current: Validators) -> ByteRange | None:
    """The part of ``size`` bytes that the Range header requests; empty if it cannot be satisfied.

    None if the whole object is to be sent: without a Range header, with one that cannot be parsed, and
    for several ranges, because multipart responses are not supported.
    """
    unit, _, text = headers.get("range", "").partition("=")
    match = _RANGE.fullmatch(text.strip())
    if unit.strip().lower() != "bytes" or match is None or not _if_range_matches(headers, current):
        return None
    first, last = (int(digits) if digits else None for digits in match.groups())
    if first is None:
        return None if last is None else ByteRange(max(size - last, 0), size)
    if last is not None and last < first:
        return None
    stop = size if last is None else min(last + 1, size)
    return ByteRange(min(first, size), stop)


def http_time(moment: datetime) -> datetime:
    """``moment`` in UTC, in whole seconds: the precision of HTTP."""
    return moment.astimezone(UTC).replace(microsecond=0)


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def http_date(moment: datetime) -> str:
    """``moment`` as an HTTP date (RFC 9110, section 5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`."""
    # email.utils takes 6 ms of a cold start, and the names of strftime depend on the locale.
    utc = http_time(moment)
    day, month = _DAYS[utc.weekday()], _MONTHS[utc.month - 1]
    return f"{day}, {utc:%d} {month} {utc.year:04} {utc:%H:%M:%S} GMT"


def _if_range_matches(headers: Mapping[str, str], current: Validators) -> bool:
    """Whether If-Range allows a partial response. A time never does: the object may have changed twice
    within its second (RFC 9110, section 8.8.2.2), so that the parts would not fit together."""
    condition = headers.get("if-range")
    return condition is None or _matches(condition, current.tag, strong=True, wildcard=False)


def _matches(text: str, tag: str, *, strong: bool, wildcard: bool = True) -> bool:
    """Whether a list of entity tags contains ``tag``. ``strong`` comparison ignores weak tags;
    ``wildcard`` lets `*` match everything."""
    if text.strip() == "*":
        return wildcard
    return any(listed == tag and not (weak and strong) for weak, listed in _ENTITY_TAG.findall(text))


def _parse_time(text: str | None) -> datetime | None:
    if text is None:
        return None
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - 6 ms of a cold start; rarely needed

    try:
        moment = parsedate_to_datetime(text)
        return http_time(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        return None
