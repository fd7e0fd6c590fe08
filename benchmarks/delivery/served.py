"""A program: `image-processor serve`, with another directory under /static than the page's, so that
a plain file of any size can be asked of the very same server. Arguments: that directory, then serve's.
"""

from __future__ import annotations

import sys
from pathlib import Path

from image_processor.api import machine_app as machine
from image_processor.cli import main

if __name__ == "__main__":
    machine.WEB = Path(sys.argv.pop(1))
    sys.argv.insert(1, "serve")
    main()
