"""Opens a library in two buckets for the server and the commands of one machine.

The catalog is a file on this machine, or a DynamoDB table that other servers and a stack may share.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from msgspec.structs import replace

from image_processor.aws.endpoints import endpoint_override
from image_processor.catalog.sqlite import SqliteCatalog
from image_processor.cli.aws_session import open_session
from image_processor.config.settings import PREFIX, Settings
from image_processor.domain.errors import InvalidSettings, MissingExtra, Problem, Unavailable
from image_processor.domain.ports import Stores
from image_processor.ingest.outbox import Outbox, Send
from image_processor.storage.conditions import honours_conditions

from .aws import AwsAccess, bucket_names, build_invalidation, build_outbox, open_aws_stores

_IN_THE_BUCKET = "objects://"

logger = logging.getLogger(__name__)


@contextmanager
def open_bucket_stores(settings: Settings, catalog_file: Path) -> Iterator[Stores]:
    """The buckets and the catalog. Raises InvalidSettings, MissingExtra, Unavailable."""
    require_obstore()
    bucket_names(settings)  # what is missing in the settings, before what is missing around them
    access = bucket_access()
    if settings.table is not None:
        yield open_aws_stores(settings, access)
        return
    # Stores without a table have their records as objects, which are not opened here.
    stores = open_aws_stores(replace(settings, table=_IN_THE_BUCKET), access)
    try:
        catalog_file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"cannot create the data directory {catalog_file.parent}: {error.strerror}"
        raise Unavailable(message) from error
    with closing(SqliteCatalog(catalog_file)) as catalog:
        yield replace(stores, catalog=catalog)


def require_obstore() -> None:
    """Raises MissingExtra."""
    try:
        import obstore  # noqa: F401, PLC0415 - optional dependency
    except ImportError:
        raise MissingExtra.of("obstore", "originals in buckets", "aws") from None


def bucket_access() -> AwsAccess:
    """Keys in the environment, else whatever botocore finds: profiles, SSO, the role of the machine.

    Raises InvalidSettings, MissingExtra.
    """
    if os.environ.get("AWS_ACCESS_KEY_ID"):
        return AwsAccess()
    from .operator_access import access_from  # noqa: PLC0415 - needs boto3

    return access_from(open_session(None, None, has_options=False))


def build_bucket_outbox(settings: Settings) -> Outbox | None:
    """What is sent after an outcome: events to the bus, invalidations. None with a webhook, whose events wait
    in the catalog's file.

    Raises InvalidSettings for a webhook where there is no such file.
    """
    if settings.webhook_url is None:
        return build_outbox(settings, bucket_access())
    if settings.table is not None:
        expected = f"no webhook with {PREFIX}TABLE ({PREFIX}EVENT_BUS gets the events of a table)"
        raise InvalidSettings([Problem(PREFIX + "WEBHOOK_URL", expected, repr(settings.webhook_url))])
    return None


def build_bucket_invalidation(settings: Settings) -> Send | None:
    """Invalidates an image in the CDN in front of the buckets; None without one. Raises InvalidSettings."""
    return build_invalidation(settings, bucket_access())


def check_conditions(settings: Settings, stores: Stores) -> None:
    """Raises InvalidSettings if the S3 service is not AWS and ignores the conditions of writes, unless the
    settings accept that. Without an answer nothing is checked: the server may start before its storage."""
    endpoint = endpoint_override("s3")
    if endpoint is None:
        return
    try:
        if honours_conditions(stores.processed):
            return
    except Unavailable as error:
        logger.warning("not checked whether %s honours If-Match and If-None-Match: %s", endpoint, error)
        return
    if settings.unconditional_writes:
        logger.warning("%s ignores If-Match and If-None-Match: an upload can overwrite another", endpoint)
        return
    name, option = "AWS_ENDPOINT_URL", f"{PREFIX}UNCONDITIONAL_WRITES=1"
    expected = f"an S3 service that honours If-Match and If-None-Match of writes ({option} goes without)"
    raise InvalidSettings([Problem(name, expected, f"{endpoint}, which ignores them")])
