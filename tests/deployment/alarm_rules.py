"""Rules of the template about alarms: what they watch, when they fire, and whom they tell."""

from __future__ import annotations

from collections.abc import Iterator

from policies import of_type
from resolve import Json, references

MAX_METRICS = 10
"""Of one alarm ("Limits that apply to alarms based on metric math expressions")."""


def duration_alarms_fire_before_the_timeout(resources: Json) -> Iterator[str]:
    functions = of_type(resources, "AWS::Lambda::Function")
    for name, alarm in of_type(resources, "AWS::CloudWatch::Alarm").items():
        if alarm.get("MetricName") == "Duration":
            (function,) = references(alarm["Dimensions"])
            if alarm["Threshold"] != 800 * functions[function]["Timeout"]:
                yield name


def every_alarm_tells_whoever_is_named(resources: Json) -> Iterator[str]:
    alarms = of_type(resources, "AWS::CloudWatch::Alarm")
    reported = {name: alarm.get("AlarmActions", []) for name, alarm in alarms.items()}
    if len({str(actions) for actions in reported.values()}) > 1:
        yield str(reported)
    if of_type(resources, "AWS::SNS::Topic"):
        yield from (name for name, actions in reported.items() if "<AlarmTopic>" not in actions)


# The dimensions of the metrics that alarms watch: "Amazon SQS metrics", "Lambda metrics", "DynamoDB metrics",
# "API Gateway dimensions and metrics", "Viewing CloudFront metrics".
DIMENSIONS = {
    "AWS/SQS": [{"QueueName"}],
    "AWS/Lambda": [{"FunctionName"}],
    "AWS/DynamoDB": [{"TableName"}, {"TableName", "GlobalSecondaryIndexName"}],
    "AWS/ApiGateway": [{"ApiName", "Stage"}],
    "AWS/CloudFront": [{"DistributionId", "Region"}],
    "ImageProcessor": [{"Function"}],
}


def alarms_watch_what_exists(resources: Json) -> Iterator[str]:
    for name, metric in _metrics(resources):
        values = {row["Name"]: row["Value"] for row in metric["Dimensions"]}
        if set(values) not in DIMENSIONS[metric["Namespace"]]:
            yield f"{name}: {metric['Namespace']} by {sorted(values)}"
        for table in of_type(resources, "AWS::DynamoDB::Table").values():
            indexes = {row["IndexName"] for row in table["GlobalSecondaryIndexes"]}
            if values.get("GlobalSecondaryIndexName", next(iter(indexes))) not in indexes:
                yield f"{name}: index {values['GlobalSecondaryIndexName']}"
        for api in of_type(resources, "AWS::ApiGateway::RestApi").values():
            if values.get("ApiName", api["Name"]) != api["Name"]:
                yield f"{name}: API {values['ApiName']}"


def every_function_is_in_the_alarms_of_errors_and_throttles(resources: Json) -> Iterator[str]:
    for metric in ("Errors", "Throttles"):
        rows = [row for _, row in _metrics(resources) if row["MetricName"] == metric]
        watched = {name for row in rows for name in references(row["Dimensions"])}
        for name in of_type(resources, "AWS::Lambda::Function"):
            if name not in watched:
                yield f"{metric} of {name}"


def the_table_and_each_index_are_in_the_alarm_of_throttles(resources: Json) -> Iterator[str]:
    """An index that is throttled throttles the table; each has metrics of its own."""
    watched = {(row["MetricName"], str(row["Dimensions"])) for _, row in _metrics(resources)}
    for name, table in of_type(resources, "AWS::DynamoDB::Table").items():
        dimension = {"Name": "TableName", "Value": f"<{name}>"}
        indexes = [
            {"Name": "GlobalSecondaryIndexName", "Value": index["IndexName"]}
            for index in table["GlobalSecondaryIndexes"]
        ]
        for metric in ("ReadThrottleEvents", "WriteThrottleEvents"):
            for dimensions in ([dimension], *([dimension, index] for index in indexes)):
                if (metric, str(dimensions)) not in watched:
                    yield f"{metric} of {dimensions[-1]['Value']}"


def an_alarm_has_few_metrics(resources: Json) -> Iterator[str]:
    for name, alarm in of_type(resources, "AWS::CloudWatch::Alarm").items():
        count = sum("MetricStat" in row for row in alarm.get("Metrics", []))
        if count > MAX_METRICS:
            yield f"{name}: {count}"


def _metrics(resources: Json) -> Iterator[tuple[str, Json]]:
    """Each metric that an alarm watches, with the alarm's name."""
    for name, alarm in of_type(resources, "AWS::CloudWatch::Alarm").items():
        rows = [row["MetricStat"]["Metric"] for row in alarm.get("Metrics", []) if "MetricStat" in row]
        yield from ((name, metric) for metric in rows or [alarm])
