"""The operator's AWS session: botocore's chain of profiles, SSO, roles, processes and variables."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from image_processor.domain.errors import Invalid, InvalidSettings, MissingExtra, Problem, Unavailable

if TYPE_CHECKING:
    import boto3


def open_session(profile: str | None, region: str | None, *, has_options: bool = True) -> boto3.Session:
    """A session with credentials and a region.

    ``profile`` is a profile of the shared config file, by default AWS_PROFILE's. ``region`` defaults to
    AWS_REGION, AWS_DEFAULT_REGION, and the profile's. ``has_options`` says whether the command has
    `--profile` and `--region`, for messages. Raises MissingExtra without boto3, Invalid for an
    unknown profile, InvalidSettings without credentials or a region, Unavailable if credentials cannot be
    fetched (an expired SSO session, a role that may not be assumed).
    """
    try:
        import boto3  # noqa: PLC0415 - optional dependency
        from botocore.exceptions import BotoCoreError, ClientError, ProfileNotFound  # noqa: PLC0415 - as above
    except ImportError:
        raise MissingExtra.of("boto3", "commands that call AWS", "operator") from None

    region = region or os.environ.get("AWS_REGION") or None  # botocore reads AWS_DEFAULT_REGION only
    try:
        session = boto3.Session(profile_name=profile, region_name=region)
        credentials = session.get_credentials()
        if credentials is not None:
            credentials.get_frozen_credentials()
    except ProfileNotFound as error:
        name = "--profile" if profile else "AWS_PROFILE"
        raise Invalid.one(name, "a profile of the AWS config file", error.kwargs["profile"]) from None
    except (BotoCoreError, ClientError) as error:
        raise Unavailable(f"no AWS credentials: {error}") from error
    problems = []
    if credentials is None:
        option, name = ("--profile, ", "--profile") if has_options else ("", "AWS_PROFILE")
        expected = f"AWS credentials: {option}AWS_PROFILE or AWS_ACCESS_KEY_ID"
        problems.append(Problem(name, expected, "none"))
    if session.region_name is None:
        name, other = ("--region", ", or AWS_REGION") if has_options else ("AWS_REGION", "")
        problems.append(Problem(name, f"a region such as eu-west-1{other}", "none"))
    if problems:
        raise InvalidSettings(problems)
    return session
