"""Python imports this at the start of the SAM CLI, which then

- zips with level 1: 17.4 MB instead of 16.1 MB for the package of `process`, in a third of the CPU;
- reads YAML by libyaml, several times the template, in a tenth of the time.
"""

from __future__ import annotations

import functools
import sys
import zipfile
from pathlib import Path

if "sam" in {Path(argument).name for argument in sys.orig_argv[:2]}:
    import yaml

    yaml.SafeLoader = yaml.CSafeLoader  # type: ignore[misc]
    zipfile.ZipFile.__init__ = functools.partialmethod(zipfile.ZipFile.__init__, compresslevel=1)  # type: ignore[assignment]
