"""Requests to servers of this machine, which speak HTTP without TLS."""

from __future__ import annotations

import ssl

NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For ``verify`` of httpx, which otherwise reads all certificates for each client: 60 ms of CPU."""
