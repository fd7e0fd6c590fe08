"""S3 notifications as AWS sends them, where LocalStack's differ: each change of a key gets a
sequencer greater than the one before (LocalStack's is a constant). In notifications keys are encoded
as in forms, `+` for a space ("Event message structure" in the S3 user guide); in EventBridge's not at
all. LocalStack encodes both as in paths."""

from __future__ import annotations

import itertools
import json
from typing import Any
from urllib.parse import quote_plus, unquote

from localstack.services.s3 import notifications

# Hexadecimal and growing is all that is promised: this one soon gets a digit more.
_sequencers = itertools.count(0xFFFFF0)


def install() -> None:
    """Replace what LocalStack writes into events."""
    dispatcher, bridge = notifications.NotificationDispatcher, notifications.EventBridgeNotifier
    submit = dispatcher.send_notifications
    to_service = notifications.BaseNotifier._get_event_payload
    to_bridge = bridge._get_event_payload

    def send_notifications(self: Any, ctx: Any, configuration: Any) -> Any:
        # One change has one sequencer, to however many destinations it is told.
        ctx.sequencer = f"00{next(_sequencers):X}"
        return submit(self, ctx, configuration)

    def service_payload(ctx: Any, config_id: str) -> Any:
        payload = to_service(ctx, config_id)
        for record in payload["Records"]:
            _rewrite(record["s3"]["object"], ctx.sequencer, quote_plus(unquote(ctx.key_name), safe="/*"))
        return payload

    def bridge_payload(ctx: Any, config_id: str | None = None) -> Any:
        entry = to_bridge(ctx, config_id)
        detail = json.loads(entry["Detail"])
        _rewrite(detail["object"], ctx.sequencer, unquote(ctx.key_name))
        return {**entry, "Detail": json.dumps(detail)}

    dispatcher.send_notifications = send_notifications
    notifications.BaseNotifier._get_event_payload = staticmethod(service_payload)
    bridge._get_event_payload = staticmethod(bridge_payload)


def _rewrite(changed: dict[str, Any], sequencer: str, key: str) -> None:
    changed["key"] = key
    if "sequencer" in changed:  # events about tags and access have none
        changed["sequencer"] = sequencer
