"""The Lambda handlers under the module name of version 0.1: `image_processor.app.process` still works.

Deprecated: name `image_processor.aws_lambda.process` instead. Removed in 0.3.
"""

from __future__ import annotations

from image_processor.aws_lambda import api, deliver, process

__all__ = ["api", "deliver", "process"]
