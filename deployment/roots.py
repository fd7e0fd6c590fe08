"""Deployment: the certificate authorities that vouch for AWS, taken out of Mozilla's list (certifi).

Amazon's repository (amazontrust.com/repository) recommends to those who keep a list of their own
to have all five in it.
"""

from __future__ import annotations

import hashlib
import re
import ssl

ROOTS = {
    "8ecde6884f3d87b1125ba31ac3fcb13d7016de7f57cc904fe1cb97c6ae98196e": "Amazon Root CA 1",
    "1ba5b2aa8c65401a82960118f80bec4f62304d83cec4713a19c39c011ea46db4": "Amazon Root CA 2",
    "18ce6cfe7bf14e60b2e347b8dfe868cb31d02ebb3ada271569f50343b46db3a4": "Amazon Root CA 3",
    "e35d28419ed02025cfa69038cd623962458da5c695fbdea3c22b0bfb25897092": "Amazon Root CA 4",
    "568d6905a2c88708a4b3025190edcfedb1974a606a13c6e5290fcb2ae63edab5": "Starfield Services Root CA - G2",
}
"""Each certificate's SHA-256 (of its DER form), and its name for a reader."""

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n", re.DOTALL)


class MissingRoots(Exception):
    """The list lacks an authority; the message names it."""


def amazons(bundle: str) -> str:
    """The PEM text of ROOTS, in their order, out of ``bundle``, a longer list. Raises MissingRoots."""
    found = {fingerprint(pem): pem for pem in _CERTIFICATE.findall(bundle)}
    missing = [name for digest, name in ROOTS.items() if digest not in found]
    if missing:
        raise MissingRoots(f"expected {', '.join(missing)} in certifi's list, got {len(found)} others")
    return "".join(found[digest] for digest in ROOTS)


def fingerprint(pem: str) -> str:
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
