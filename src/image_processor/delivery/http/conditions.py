"""Delivery: what the conditional and range headers of a request ask for (RFC 9110, 13 and 14).

Pure readers of header texts. A field that cannot be read is treated as absent, as the RFC says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum, auto

from msgspec import Struct

_ENTITY_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
# 19 digits are more bytes than any object has; a longer number is no range that we can read.
_RANGE = re.compile(r"([0-9]{0,19})-([0-9]{0,19})")


class Validators(Struct, frozen=True):
    """What tells one state of an object from another: the strong entity tag, without its
    quotes, and the time of the last change."""

    tag: str
    modified: datetime


class PreconditionResult(Enum):
    """What the preconditions of a request come to."""

    PROCEED = auto()
    NOT_MODIFIED = auto()
    FAILED = auto()


def judge(headers: Mapping[str, str], current: Validators) -> PreconditionResult:
    """The preconditions in the order of RFC 9110, 13.2.2, for GET and HEAD.

    ``headers`` has lower-case names. A tag condition makes the time condition of its kind void.
    """
    if "if-match" in headers:
        if not _names(headers["if-match"], current.tag, strong=True):
            return PreconditionResult.FAILED
    elif (until := _time(headers.get("if-unmodified-since"))) and http_time(current.modified) > until:
        return PreconditionResult.FAILED
    if "if-none-match" in headers:
        unchanged = _names(headers["if-none-match"], current.tag, strong=False)
        return PreconditionResult.NOT_MODIFIED if unchanged else PreconditionResult.PROCEED
    since = _time(headers.get("if-modified-since"))
    return (
        PreconditionResult.NOT_MODIFIED
        if since and http_time(current.modified) <= since
        else PreconditionResult.PROCEED
    )


def may_write(headers: Mapping[str, str], tag: str | None) -> bool:
    """Whether the tag conditions of a PUT hold (RFC 9110, 13.1.1 and 13.1.2).

    ``tag`` is the strong entity tag of what would be replaced, without its quotes; None where
    there is nothing. ``headers`` has lower-case names.
    """
    match, none_match = headers.get("if-match"), headers.get("if-none-match")
    if tag is None:
        return match is None
    if match is not None and not _names(match, tag, strong=True):
        return False
    return none_match is None or not _names(none_match, tag, strong=False)


class ByteRange(Struct, frozen=True):
    """The bytes ``start`` up to, not including, ``stop``."""

    start: int
    stop: int


def window(headers: Mapping[str, str], size: int, current: Validators) -> ByteRange | None:
    """The part of ``size`` bytes that a Range asks for; empty if it lies outside.

    None where no range applies: the whole object is meant. So it is for several ranges: nobody
    needs a multipart answer for an image.
    """
    unit, _, wanted = headers.get("range", "").partition("=")
    match = _RANGE.fullmatch(wanted.strip())
    if unit.strip().lower() != "bytes" or match is None or not _may_continue(headers, current):
        return None
    first, last = (int(digits) if digits else None for digits in match.groups())
    if first is None:
        return None if last is None else ByteRange(max(size - last, 0), size)
    if last is not None and last < first:
        return None
    stop = size if last is None else min(last + 1, size)
    return ByteRange(min(first, size), stop)


def http_time(moment: datetime) -> datetime:
    """``moment`` as HTTP can say it: UTC, whole seconds."""
    return moment.astimezone(UTC).replace(microsecond=0)


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def http_date(moment: datetime) -> str:
    """``moment`` as HTTP writes it (RFC 9110, 5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`."""
    # Not email.utils, which takes 6 ms of a cold start, nor strftime's names, which a locale changes.
    then = http_time(moment)
    day, month = _DAYS[then.weekday()], _MONTHS[then.month - 1]
    return f"{day}, {then:%d} {month} {then.year:04} {then:%H:%M:%S} GMT"


def _may_continue(headers: Mapping[str, str], current: Validators) -> bool:
    """Whether If-Range allows a part. A time never does: within its second the object may have
    changed twice (RFC 9110, 8.8.2.2), and the parts would not fit together."""
    condition = headers.get("if-range")
    return condition is None or _names(condition, current.tag, strong=True, any_object=False)


def _names(text: str, tag: str, *, strong: bool, any_object: bool = True) -> bool:
    """Whether a list of entity tags names ``tag``; ``strong`` comparison leaves weak ones out."""
    if text.strip() == "*":
        return any_object
    return any(named == tag and not (weak and strong) for weak, named in _ENTITY_TAG.findall(text))


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - as in http_date; few requests ask

    try:
        moment = parsedate_to_datetime(text)
        return http_time(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        return None
