"""DynamoDB catalog: its table, as CreateTable and CloudFormation both spell it.

The template in deployment/ declares the same; a test compares the two.
"""

from __future__ import annotations

from typing import Any

NEWEST = "newest"
"""The index of listings: one shelf of all records, in the order of their positions.

What it projects never changes with a claim, so a claim is no write to it, and a record is two.
One shelf takes 1,000 writes a second: 500 new originals. Then DynamoDB throttles, and the queue
waits; several shelves would push that further, at several reads for every page.
"""

TABLE: dict[str, Any] = {
    "AttributeDefinitions": [
        {"AttributeName": "id", "AttributeType": "S"},
        {"AttributeName": "original_file", "AttributeType": "S"},
        {"AttributeName": "shelf", "AttributeType": "S"},
        {"AttributeName": "position", "AttributeType": "S"},
    ],
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    "GlobalSecondaryIndexes": [
        {
            # For people and other programs that know a key and ask what became of it.
            "IndexName": "original_file",
            "KeySchema": [{"AttributeName": "original_file", "KeyType": "HASH"}],
            "Projection": {
                "ProjectionType": "INCLUDE",
                "NonKeyAttributes": ["bucket", "processed_file", "status"],
            },
        },
        {
            "IndexName": NEWEST,
            "KeySchema": [
                {"AttributeName": "shelf", "KeyType": "HASH"},
                {"AttributeName": "position", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["original_file", "status"]},
        },
    ],
    "BillingMode": "PAY_PER_REQUEST",
}
