"""A program: `image-processor serve` with another directory under /static, to measure a plain file of
any size on the same server. Arguments: that directory, then those of `serve`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from image_processor.__main__ import main
from image_processor.api import standalone_app as machine

if __name__ == "__main__":
    machine.WEB = Path(sys.argv.pop(1))
    sys.argv.insert(1, "serve")
    main()
