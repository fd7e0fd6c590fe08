"""Python imports this at the start of the SAM CLI. Its zip files get level 1: 17.4 MB instead of 16.1 MB for
the package of `process`, in 0.9 s of CPU instead of 2.4 s."""

from __future__ import annotations

import functools
import zipfile

zipfile.ZipFile.__init__ = functools.partialmethod(zipfile.ZipFile.__init__, compresslevel=1)  # type: ignore[assignment]
