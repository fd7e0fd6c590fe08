"""CloudFormation in LocalStack, where it differs.

- It looks for local transforms (Fn::Transform) by resolving the template that SAM has not translated yet,
  and there `!Ref Function.Alias` leads nowhere. This project has no local transform, so it is left out.
- Of the deletion policies it knows Retain alone.
- It replaces a resource if a property that cannot change refers to a resource that does; AWS compares
  values.
- Where a condition changes it resolves both sides of Fn::If, also the one whose resources are gone, or
  whose secret has no name.
- It ignores updates of Lambda aliases, of REST APIs and of their stages, and reports success.
"""

from __future__ import annotations

import json
from typing import Any

from localstack.services.apigateway.resource_providers.aws_apigateway_restapi import ApiGatewayRestApiProvider
from localstack.services.apigateway.resource_providers.aws_apigateway_stage import ApiGatewayStageProvider
from localstack.services.cloudformation.engine.v2.change_set_model_executor import ChangeSetModelExecutor
from localstack.services.cloudformation.engine.v2.change_set_model_preproc import (
    ChangeSetModelPreproc,
    PreprocEntityDelta,
    PreprocResource,
)
from localstack.services.cloudformation.engine.v2.change_set_model_transform import ChangeSetModelTransform
from localstack.services.cloudformation.engine.v2.change_set_model_validator import ChangeSetModelValidator
from localstack.services.cloudformation.engine.v2.resolving import extract_dynamic_reference
from localstack.services.cloudformation.engine.validations import ValidationError
from localstack.services.cloudformation.resource_provider import (
    OperationStatus,
    ProgressEvent,
    ResourceProviderExecutor,
)
from localstack.services.lambda_.resource_providers.lambda_alias import LambdaAliasProvider

GONE = "gone" + 8 * ":" + 8 * "/gone"
"""Stands for what a condition removes; it can be split as an ARN and as an address."""


def install() -> None:
    ChangeSetModelTransform._execute_local_transforms = lambda _: None
    _retain_more()
    _replace_less()
    _resolve_what_is_gone()
    LambdaAliasProvider.update = _update_alias
    ApiGatewayRestApiProvider.update = _update_api
    ApiGatewayStageProvider.update = _update_stage


def _retain_more() -> None:
    initialise = PreprocResource.__init__

    def retaining(self: Any, *values: Any, **named: Any) -> None:
        initialise(self, *values, **named)
        # LocalStack does not roll back a creation, so this is what is left of the policy.
        if self.deletion_policy == "RetainExceptOnCreate":
            self.deletion_policy = "Retain"

    PreprocResource.__init__ = retaining


def _replace_less() -> None:
    execute = ChangeSetModelExecutor._execute_resource_change

    def execute_change(self: Any, name: str, before: Any, after: Any) -> None:
        if getattr(after, "requires_replacement", False) and isinstance(before, PreprocResource):
            deployed = self._merge_before_properties(name, before).properties
            expected = after.properties.properties
            after.requires_replacement = any(
                each in expected and expected[each] != deployed.get(each)
                for each in _fixed(after.resource_type)
            )
        execute(self, name, before, after)

    ChangeSetModelExecutor._execute_resource_change = execute_change


def _resolve_what_is_gone() -> None:
    """Give references to resources that a condition removes some text, for the sides that do not count."""
    resolve_attribute, resolve_reference = (
        ChangeSetModelPreproc._resolve_attribute,
        ChangeSetModelPreproc._resolve_reference,
    )

    def attribute(self: Any, arguments: str | list[str], select_before: bool) -> Any:  # noqa: FBT001
        name = (arguments.split(".") if isinstance(arguments, str) else arguments)[0]
        exists = _existence(self, name)
        if not (exists.before if select_before else exists.after):
            return GONE
        return resolve_attribute(self, arguments, select_before)

    def reference(self: Any, logical_id: str) -> Any:
        delta = resolve_reference(self, logical_id)
        exists = _existence(self, logical_id)
        delta.before = delta.before if exists.before else GONE
        delta.after = delta.after if exists.after else GONE
        return delta

    # LocalStack's check before an update selects from attributes that there are not yet.
    select = ChangeSetModelValidator.visit_node_intrinsic_function_fn_select

    def select_if_known(self: Any, node: Any) -> Any:
        try:
            return select(self, node)
        except ValidationError:
            return PreprocEntityDelta(before=GONE, after=GONE)

    ChangeSetModelValidator.visit_node_intrinsic_function_fn_select = select_if_known
    look_up = ChangeSetModelPreproc._perform_dynamic_replacements

    def look_up_if_named(self: Any, value: Any) -> Any:
        found = extract_dynamic_reference(value)
        return value if found is not None and found.reference_key.startswith(":") else look_up(self, value)

    ChangeSetModelPreproc._perform_dynamic_replacements = look_up_if_named
    ChangeSetModelPreproc._resolve_attribute = attribute
    ChangeSetModelPreproc._resolve_reference = reference


def _existence(model: Any, name: str) -> Any:
    """Whether the condition of what has that name holds, before the change and after it."""
    for node in model._change_set.update_model.node_template.resources.resources:
        if node.name == name and node.condition_reference:
            return model._resolve_condition(node.condition_reference.value)
    return PreprocEntityDelta(before=True, after=True)


def _fixed(resource_type: str) -> list[str]:
    """The properties that cannot change, as the type's schema names them."""
    provider = ResourceProviderExecutor.try_load_resource_provider(resource_type)
    return [path.split("/")[2] for path in provider.SCHEMA.get("createOnlyProperties", ())]


def _updated(request: Any) -> ProgressEvent[Any]:
    model = {**request.previous_state, **request.desired_state}
    return ProgressEvent(status=OperationStatus.SUCCESS, resource_model=model)


def _update_alias(_: LambdaAliasProvider, request: Any) -> ProgressEvent[Any]:
    alias = {name: request.desired_state[name] for name in ("FunctionName", "Name", "FunctionVersion")}
    request.aws_client_factory.lambda_.update_alias(**alias)
    return _updated(request)


def _update_api(_: ApiGatewayRestApiProvider, request: Any) -> ProgressEvent[Any]:
    request.aws_client_factory.apigateway.put_rest_api(
        restApiId=request.previous_state["RestApiId"],
        mode="overwrite",
        body=json.dumps(request.desired_state["Body"]).encode(),
        parameters={"basepath": "ignore"},
    )
    return _updated(request)


def _update_stage(_: ApiGatewayStageProvider, request: Any) -> ProgressEvent[Any]:
    model = request.desired_state
    change = {"op": "replace", "path": "/deploymentId", "value": model["DeploymentId"]}
    request.aws_client_factory.apigateway.update_stage(
        restApiId=model["RestApiId"], stageName=model["StageName"], patchOperations=[change]
    )
    return _updated(request)
