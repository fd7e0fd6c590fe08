"""Python imports this at the start of the SAM CLI and of the AWS CLI. Then

- both wait at most a second between two looks at a stack: for AWS they wait 15 and 30;
- SAM zips with level 1: 17.4 MB instead of 16.1 MB for the package of `process`, in a third of the CPU;
- SAM reads YAML by libyaml, several times the template, in a tenth of the time.
"""

from __future__ import annotations

import functools
import sys
import time
import zipfile
from pathlib import Path

LONGEST_PAUSE = 1.0
"""Seconds."""

programs = {Path(argument).name for argument in sys.orig_argv[:2]}
if programs & {"aws", "sam"}:
    sleep = time.sleep
    time.sleep = lambda seconds: sleep(min(seconds, LONGEST_PAUSE))
if "sam" in programs:
    import yaml

    yaml.SafeLoader = yaml.CSafeLoader  # type: ignore[misc]
    zipfile.ZipFile.__init__ = functools.partialmethod(zipfile.ZipFile.__init__, compresslevel=1)  # type: ignore[assignment]
