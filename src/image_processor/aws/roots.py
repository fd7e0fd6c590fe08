"""AWS room: whom a function trusts to vouch for AWS. Of the system's 140 authorities only Amazon's
own, where the package brings them (deployment/roots.py): each S3 client reads all that are trusted,
and so does each TLS context.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping

FILE = os.path.join(os.path.dirname(__file__), "roots.pem")  # noqa: PTH118, PTH120 - pathlib takes 4 ms to load
_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_OTHERS = ("cn-", "us-gov-", "us-iso", "eu-iso", "eusc-")
"""How regions begin whose certificates may come from elsewhere: they are not of the partition `aws`."""


def trust_amazon(environment: MutableMapping[str, str], file: str = FILE) -> None:
    """Have what reads ``environment``, obstore as well as OpenSSL, trust the authorities of ``file`` alone.

    Nothing is changed where somebody has said what to trust, where an endpoint other than AWS's is
    spoken to by TLS, outside the partition `aws`, or where there is no such file.
    """
    told = any(name in environment for name in _VARIABLES)
    elsewhere = environment.get("AWS_REGION", "").startswith(_OTHERS) or any(
        name.startswith("AWS_ENDPOINT_URL") and value.lower().startswith("https:")
        for name, value in environment.items()
    )
    if told or elsewhere or not os.path.exists(file):  # noqa: PTH110 - as above
        return
    environment["SSL_CERT_FILE"] = file
    # Without it the system's folder is read all the same; of a file, nothing can be.
    environment["SSL_CERT_DIR"] = file
