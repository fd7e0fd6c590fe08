"""Event source mappings in LocalStack, without a batching window and without requests to empty queues.

A batch is what the queue holds: a poll that waits would outlast the loss of its grant, and delay the end of
its mapping. A request to an empty queue costs about 10 ms of CPU, and each mapping of each stack would send
ten a second until the end of the tests. So a mapping looks into the queue inside this process first.
"""

from __future__ import annotations

from localstack.services.lambda_.event_source_mapping.pollers.poller import EmptyPollResultsException
from localstack.services.lambda_.event_source_mapping.pollers.sqs_poller import SqsPoller
from localstack.services.sqs.models import sqs_stores
from localstack.utils.aws.arns import parse_arn


def install() -> None:
    poll = SqsPoller.poll_events

    def poll_events(poller: SqsPoller) -> None:
        if not _has_messages(poller.source_arn):
            raise EmptyPollResultsException(service="sqs", source_arn=poller.source_arn)
        poller.maximum_batching_window = 0
        poll(poller)

    SqsPoller.poll_events = poll_events


def _has_messages(arn: str) -> bool:
    """Whether the queue holds a visible message. A queue that was deleted holds none."""
    place = parse_arn(arn)
    queue = sqs_stores[place["account"]][place["region"]].queues.get(place["resource"])
    return queue is not None and queue.approximate_number_of_messages > 0
