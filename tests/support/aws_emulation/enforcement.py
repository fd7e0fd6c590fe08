"""IAM in LocalStack, whose community edition enforces none: a handler in its chain of requests.

Calls of a role's session must be allowed by the role's policies, calls of an AWS service (S3 to a
queue, API Gateway to a function) by the resource's own policy. Everybody else is the account's
root. Each decision is appended to a file of JSON lines, for tests to read.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from localstack.aws import handlers
from localstack.aws.api import CommonServiceException, RequestContext
from localstack.constants import DEFAULT_AWS_ACCOUNT_ID
from localstack.services.lambda_.invocation.models import lambda_stores
from localstack.services.sqs.models import sqs_stores
from localstack.utils.aws.request_context import extract_access_key_id_from_auth_header
from moto.iam.models import iam_backends
from moto.sts.models import sts_backends

from .calls import Place, needed
from .policies import Call, Policy, allows, allows_service

# Actions that resource policies of this project grant to services, and where LocalStack keeps those.
BY_RESOURCE = frozenset({"sqs:SendMessage", "lambda:InvokeFunction"})


class Enforcement:
    """The handlers. ``journal`` gets one line per decision."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal.open("a", buffering=1)
        self._lock = threading.Lock()

    def install(self) -> None:
        handlers.serve_custom_service_request_handlers.append(self.before)
        handlers.run_custom_response_handlers.append(self.after)

    def before(self, _chain: object, context: RequestContext, _response: object) -> None:
        """Raises AccessDenied where AWS would."""
        if context.service is None or context.operation is None:
            return
        place = Place(context.region, context.account_id)
        role = _role_of(context)
        if role is not None:
            for call in _calls(context, place):
                self._judge(context, role, call, allowed=allows(_role_policies(place, role), call))
            return
        service = (context.internal_request_params or {}).get("service_principal")
        for call in _calls(context, place) if service else ():
            if call.action in BY_RESOURCE:
                name = f"{service}.amazonaws.com"
                allowed = allows_service(_resource_policies(call), name, _as_service(context, call))
                self._judge(context, name, call, allowed=allowed)

    def may(self, access_key: str, action: str, resource: str) -> bool:
        """Whether the owner of a key may do what LocalStack has no service for."""
        role, place = (
            _role_with(access_key, DEFAULT_AWS_ACCOUNT_ID),
            Place("us-east-1", DEFAULT_AWS_ACCOUNT_ID),
        )
        if role is None:
            return True
        call = Call(action, resource, {"aws:securetransport": "true", "aws:principalaccount": place.account})
        return self._record(role, call, allowed=allows(_role_policies(place, role), call))

    def after(self, _chain: object, context: RequestContext, response: Any) -> None:
        """A missing key is 404 only to those who may list the bucket, 403 to others ("HeadObject",
        "Permissions" in the S3 API reference); LocalStack always says 404."""
        operation = context.operation and context.operation.name
        if response.status_code != 404 or operation not in {"GetObject", "HeadObject"}:
            return
        role = _role_of(context)
        if role is None:
            return
        place = Place(context.region, context.account_id)
        parameters = context.service_request or {}
        (listing,) = needed("s3", "ListObjectsV2", {"Bucket": parameters.get("Bucket")}, place)
        if not self._record(role, listing, allowed=allows(_role_policies(place, role), listing)):
            response.status_code = 403
            head = operation == "HeadObject"
            response.set_data("" if head else "<Error><Code>AccessDenied</Code></Error>")

    def _judge(self, context: RequestContext, who: str, call: Call, *, allowed: bool) -> None:
        if not self._record(who, call, allowed=allowed):
            json_protocol = context.service.service_name in {"dynamodb", "lambda", "logs"}
            raise CommonServiceException(
                "AccessDeniedException" if json_protocol else "AccessDenied",
                f"{who} is not authorized to perform: {call.action} on resource: {call.resource}",
                status_code=400 if json_protocol else 403,
            )

    def _record(self, who: str, call: Call, *, allowed: bool) -> bool:
        with self._lock:
            self._journal.write(json.dumps({"who": who, "allowed": allowed, **asdict(call)}) + "\n")
        return allowed


def _calls(context: RequestContext, place: Place) -> list[Call]:
    service, operation = context.service.service_name, context.operation.name
    if (service, operation) == ("sts", "GetCallerIdentity"):
        return []  # needs no grant
    # LocalStack speaks plain HTTP, AWS does not.
    shared = {
        "aws:securetransport": "true",
        "aws:principalaccount": place.account,
        "aws:requestedregion": place.region,
    }
    calls = needed(service, operation, _parameters(context), place)
    return [Call(call.action, call.resource, {**call.keys, **shared}) for call in calls]


def _parameters(context: RequestContext) -> Mapping[str, Any]:
    parameters = dict(context.service_request or {})
    if context.operation.name == "PostObject":
        parameters["Key"] = context.request.form.get("key", "")
    return parameters


def _role_of(context: RequestContext) -> str | None:
    """The name of the role whose session signed the request, also a presigned one; None for others."""
    request = context.request
    key = _presigner(request.args) or extract_access_key_id_from_auth_header(request.headers)
    if context.operation is not None and context.operation.name == "PostObject":
        key = _presigner(request.form) or key
    return _role_with(key, context.account_id) if key else None


def _role_with(access_key: str, account: str) -> str | None:
    session = sts_backends[account]["aws"].get_assumed_role_from_access_key(access_key)
    return session.role_arn.rpartition("/")[2] if session else None


def _presigner(fields: Mapping[str, str]) -> str | None:
    credential = {name.lower(): value for name, value in fields.items()}.get("x-amz-credential", "")
    return credential.partition("/")[0] or None


def _role_policies(place: Place, name: str) -> Iterator[Policy]:
    # Read anew for each request, as a policy may change while its sessions live.
    for role in list(iam_backends[place.account]["aws"].roles.values()):
        if role.name == name:
            yield from (_document(policy) for policy in role.policies.values())
            for managed in role.managed_policies.values():
                versions = {version.version_id: version.document for version in managed.versions}
                yield _document(versions[managed.default_version_id])


def _document(policy: str | Policy) -> Policy:
    return json.loads(policy) if isinstance(policy, str) else policy


def _resource_policies(call: Call) -> Iterator[Policy]:
    _, _, service, region, account, *resource = call.resource.split(":")
    if service == "sqs":
        queue = sqs_stores[account][region].queues.get(resource[0])
        if queue is not None and queue.attributes.get("Policy"):
            yield json.loads(queue.attributes["Policy"])
    else:
        function = lambda_stores[account][region].functions.get(resource[1])
        for permission in function.permissions.values() if function else ():
            yield {"Statement": permission.policy.Statement}


def _as_service(context: RequestContext, call: Call) -> Call:
    source = {"aws:sourceaccount": context.account_id, "aws:principalisawsservice": "true"}
    if arn := (context.internal_request_params or {}).get("source_arn"):
        source["aws:sourcearn"] = arn
    return Call(call.action, call.resource, {**call.keys, **source})
