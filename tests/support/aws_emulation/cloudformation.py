"""CloudFormation in LocalStack, where it differs.

It looks for local transforms (Fn::Transform) by resolving the template that SAM has not translated yet,
and there `!Ref Function.Alias` leads nowhere. This project has no local transform, so that step is left
out. Of the deletion policies it knows Retain alone.
"""

from __future__ import annotations

from typing import Any

from localstack.services.cloudformation.engine.v2.change_set_model_preproc import PreprocResource
from localstack.services.cloudformation.engine.v2.change_set_model_transform import ChangeSetModelTransform


def install() -> None:
    ChangeSetModelTransform._execute_local_transforms = lambda _: None
    initialise = PreprocResource.__init__

    def retaining(self: Any, *values: Any, **named: Any) -> None:
        initialise(self, *values, **named)
        # LocalStack does not roll back a creation, so this is what is left of the policy.
        if self.deletion_policy == "RetainExceptOnCreate":
            self.deletion_policy = "Retain"

    PreprocResource.__init__ = retaining
