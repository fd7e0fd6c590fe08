"""The content security policy of the studio on AWS: tests/deployment compares the template with it, and
tests/browser opens the page under it."""

from __future__ import annotations


def studio_policy(uploads: str, images: str, login: str = "") -> str:
    """``uploads`` and ``images`` are the origins of the upload bucket and of the CDN, ``login`` is that of
    the user pool's pages."""
    connect = " ".join(filter(None, ["'self'", uploads, images, login]))
    return (
        f"default-src 'self'; img-src 'self' blob: data: {images}; connect-src {connect}; object-src 'none'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
