"""Opens connections to hosts whose every address is allowed.

A name is resolved once. Every address is checked, and the connection goes to one of these very addresses: a
name server that answers otherwise a moment later changes nothing. TLS asks for the name, and verifies it.
"""

from __future__ import annotations

import logging
import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from socket import AF_INET, AF_INET6, IPPROTO_TCP, SHUT_RDWR, SOCK_STREAM, TCP_NODELAY, socket
from weakref import WeakSet

from image_processor.config.remote_sources import RemoteUrl
from image_processor.domain.errors import AddressNotAllowed

from .addresses import PrivateHosts
from .resolver import STOPPING, Resolve, Resolver, system_addresses

_MAX_ADDRESSES = 8
_log = logging.getLogger(__name__)


class Dialer:
    """``private`` are the exceptions from what addresses are allowed. ``resolve`` finds the addresses."""

    def __init__(self, private: PrivateHosts, resolve: Resolve = system_addresses) -> None:
        self._private = private
        self._resolver = Resolver(resolve)
        self._lock = threading.Lock()
        self._open: WeakSet[socket] = WeakSet()
        self._is_closed = False

    def close(self) -> None:
        """Break off all connections, also those that are being opened, and open no more."""
        with self._lock:
            self._is_closed = True
            for sock in self._open:
                with suppress(OSError):
                    socket.shutdown(sock, SHUT_RDWR)  # not SSLSocket's own, which its reader does not expect
        self._resolver.close()

    def dial(self, url: RemoteUrl, deadline: float) -> socket:
        """A connection to the host of ``url``, with TLS where it is https, before ``deadline`` on
        time.monotonic. Raises AddressNotAllowed, and OSError: TimeoutError, ssl.SSLError.
        """
        host = url.host.strip("[]")
        addresses = self._allowed_addresses(host, url.port, deadline)
        sock = self._connect(addresses, url.port, deadline)
        if url.scheme != "https":
            return sock
        try:
            secure = self._tls.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
        except BaseException:
            sock.close()
            raise
        try:
            self._register(secure)
            # A handshake ends with the timeout, however its bytes are spread.
            secure.settimeout(_remaining(deadline))
            secure.do_handshake()
        except BaseException:
            secure.close()
            raise
        return secure

    def classify(self, host: str, port: int, deadline: float) -> Mapping[str, str | None]:
        """The addresses of ``host``, at least one: each with the kind for which it is refused, None if it is
        allowed. Raises OSError."""
        try:
            addresses = list(self._resolver.addresses(host, port, deadline))[:_MAX_ADDRESSES]
        except UnicodeError:
            raise OSError(f"{host} is no name of a host") from None
        if not addresses:
            raise OSError(f"{host} has no address")
        return {address: self._private.refusal(host, address) for address in addresses}

    def _allowed_addresses(self, host: str, port: int, deadline: float) -> Sequence[str]:
        """The addresses of ``host``, all of which are allowed. Raises AddressNotAllowed, OSError."""
        classified = self.classify(host, port, deadline)
        for address, kind in classified.items():
            if kind:
                # Which address it is, is nobody's business but the operator's.
                _log.warning(
                    "refused to fetch from %s: its address %s is not public (%s)", host, address, kind
                )
                raise AddressNotAllowed(f"expected a public address for {host}, got one that is {kind}")
        return list(classified)

    def _connect(self, addresses: Sequence[str], port: int, deadline: float) -> socket:
        """A connection to the first of the addresses that accepts one."""
        problem: OSError | None = None
        for index, address in enumerate(addresses):
            sock = socket(AF_INET6 if ":" in address else AF_INET, SOCK_STREAM)
            try:
                self._register(sock)
                # An address that does not answer leaves time for the others.
                sock.settimeout(_remaining(deadline) / (len(addresses) - index))
                sock.connect((address, port))
                with suppress(OSError):
                    sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
            except OSError as error:
                sock.close()
                problem = error
            else:
                return sock
        assert problem is not None
        raise problem

    def _register(self, sock: socket) -> None:
        with self._lock:
            if self._is_closed:
                raise OSError(STOPPING)
            self._open.add(sock)

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context()


def _remaining(deadline: float) -> float:
    """The seconds until ``deadline``. Raises TimeoutError."""
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise TimeoutError("it took too long")
    return remaining
