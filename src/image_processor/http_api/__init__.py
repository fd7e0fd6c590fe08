"""HTTP edge of one machine: REST API, renditions, live progress and the page.

`create_app` makes the ASGI application; `Server` runs it so that a stop is prompt.
"""

from .app import create_app
from .server import Server

__all__ = ["Server", "create_app"]
