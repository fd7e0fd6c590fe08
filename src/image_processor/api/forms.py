"""The media type of forms that have files, without the package with which `multipart` reads them.

The function on AWS does not have that package.
"""

from __future__ import annotations

FORM = "multipart/form-data"


def is_form(content_type: str) -> bool:
    """Whether a body of this type is a form that may have a file."""
    return content_type.partition(";")[0].strip().lower() == FORM
