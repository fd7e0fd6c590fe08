"""Event source mappings in LocalStack, without a batching window: a batch is what the queue holds.

A poll that waits would outlast the loss of its grant, and delay the end of its mapping.
"""

from __future__ import annotations

from localstack.services.lambda_.event_source_mapping.pollers.sqs_poller import SqsPoller


def install() -> None:
    poll = SqsPoller.poll_events

    def poll_events(poller: SqsPoller) -> None:
        poller.maximum_batching_window = 0
        poll(poller)

    SqsPoller.poll_events = poll_events
