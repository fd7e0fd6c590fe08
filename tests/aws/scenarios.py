"""Errands: short pieces of use of a deployed system, each of which fails where it lacks a grant.

Together the scenarios of a function need every grant of its role.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import httpx
from pictures import picture

from image_processor.delivery.url.parser import parse_url
from image_processor.delivery.url.signing import Keyring, signature_query
from image_processor.domain.keys import image_id, rendition_prefix
from support.aws_emulation.deployed import Deployed
from support.plain_http import NO_CERTIFICATES
from support.waiting import wait_for

Scenario = Callable[[Deployed], None]

URL_KEY = ("a", "correct-horse-battery-staple")
"""The id and the secret of what signs URLs of the deployed system."""


class Failed(Exception):
    """An scenario did not get what it came for."""


def check(what: object) -> None:
    if not what:
        raise Failed


# ---------------------------------------------------------------------- process
def make(system: Deployed) -> None:
    key = system.upload(picture(40, 30))
    check(system.tell(key) == {"batchItemFailures": []})
    check(system.renditions(key))


def make_again(system: Deployed) -> None:
    """Other bytes under the same key: conditional writes over what is there."""
    key = system.upload(picture(40, 30))
    system.tell(key)
    before = {each: system.rendition(each)["ETag"] for each in system.renditions(key)}
    system.upload(picture(30, 40), key)
    check(system.tell(key) == {"batchItemFailures": []})
    check(before.items() != {each: system.rendition(each)["ETag"] for each in system.renditions(key)}.items())


def purge(system: Deployed) -> None:
    key = system.upload(picture(40, 30))
    system.tell(key)
    system.delete(key)
    check(system.tell(key, "ObjectRemoved:Delete") == {"batchItemFailures": []})
    check(not system.renditions(key))


def poll(system: Deployed) -> None:
    """By the queue, and the message is gone afterwards."""
    known = len(system.stack.aws.decisions())
    system.send({"Records": [system.event(system.upload(picture(40, 30)))]})

    def settled() -> bool:
        new = system.stack.aws.decisions(known)
        return any(not each.allowed for each in new) or system.backlog() == 0

    wait_for(settled, "the queue")
    check(system.backlog() == 0)


def listen(system: Deployed, mapping: str = "ProcessMapping") -> None:
    """The function is told anew to read the queue; Lambda asks then whether its role may."""
    system.listen(mapping, enabled=False)
    system.listen(mapping, enabled=True)


# ---------------------------------------------------------------------- reconcile
def heal(system: Deployed) -> None:
    """An upload whose event was lost."""
    key = system.upload(picture(40, 30))
    check(system.reconcile()["found"].get("missing", 0) > 0)
    system.wait_until_idle()
    check(system.renditions(key))


def delete_orphan(system: Deployed) -> None:
    """A rendition that names no original: its key was too long, and is a hash."""
    stray = f"{'x' * 700}~{'0' * 64}/w=320,fm=jpeg.jpg"
    system.s3.put_object(Bucket=system.processed, Key=stray, Body=b"stray")
    check(system.reconcile()["deleted"] == 1)
    check(stray not in system.everything_processed())


def migrate(system: Deployed) -> None:
    """A record as version 0.1 wrote it: in one partition of the index of listings."""
    key = system.upload(picture(40, 30))
    system.tell(key)
    table = {"TableName": system.outputs["TableName"], "Key": {"id": {"S": image_id(system.uploads, key)}}}
    system.dynamodb.update_item(
        **table, UpdateExpression="SET shelf = :shelf", ExpressionAttributeValues={":shelf": {"S": "records"}}
    )
    system.reconcile()
    check(system.dynamodb.get_item(**table)["Item"]["shelf"]["S"].startswith("records-"))


# ---------------------------------------------------------------------- S3 Batch Operations
def backfill(system: Deployed) -> None:
    """A job as S3 runs it, with the stack's role: manifest, one task per invocation, report."""
    key, folder = system.upload(picture(40, 30), "back filled/a+b 100%.png"), ".image-processor/backfill/"
    manifest = f"{system.uploads},{quote(key)}\n".encode()
    system.s3.put_object(Bucket=system.processed, Key=f"{folder}manifest.csv", Body=manifest)
    session = system.session(system.outputs["BackfillRoleArn"])
    s3, functions = (system.stack.aws.client(service, session) for service in ("s3", "lambda"))
    rows = s3.get_object(Bucket=system.processed, Key=f"{folder}manifest.csv")["Body"].read().decode()
    for row in rows.splitlines():
        bucket, encoded = row.split(",")
        task = {"taskId": "1", "s3Key": encoded, "s3BucketArn": f"arn:aws:s3:::{bucket}"}
        event = {"invocationSchemaVersion": "1.0", "invocationId": "1", "tasks": [task]}
        described = system.functions.get_alias(FunctionName=f"{system.stack.name}-process", Name="live")
        invoked = functions.invoke(FunctionName=described["AliasArn"], Payload=json.dumps(event).encode())
        (result,) = json.load(invoked["Payload"])["results"]
        check(result["resultCode"] == "Succeeded")
    s3.put_object(Bucket=system.processed, Key=f"{folder}reports/results.csv", Body=b"")
    check(system.renditions(key))


# ---------------------------------------------------------------------- api
def post_image(system: Deployed) -> None:
    key = system.upload(picture(40, 30))
    check(system.api("POST", "/images", json={"key": key}).status_code == 200)
    system.upload(picture(30, 40), key)
    check(system.api("POST", "/images", json={"key": key}).status_code == 200)


def post_missing_image(system: Deployed) -> None:
    check(system.api("POST", "/images", json={"key": "never-there.png"}).status_code == 404)


def look_up(system: Deployed) -> None:
    key = system.upload(picture(40, 30))
    system.tell(key)
    check(system.api("GET", f"/images/{image_id(system.uploads, key)}").status_code == 200)


def look_through(system: Deployed) -> None:
    system.tell(system.upload(picture(40, 30), "looked-through/one.png"))
    for query in ({}, {"prefix": "looked-through/"}, {"status": "processed"}):
        check(system.api("GET", "/images", params=query).json().get("images"))


def look_alike(system: Deployed) -> None:
    body = picture(40, 30)
    for key in ("alike/one.png", "alike/two.png"):
        system.tell(system.upload(body, key))
    answer = system.api("GET", f"/images/{image_id(system.uploads, 'alike/one.png')}/similar").json()
    check("alike/two.png" in {each["image"]["original"] for each in answer.get("images", ())})


def delete_image(system: Deployed) -> None:
    key = system.upload(picture(40, 30))
    system.tell(key)
    check(system.api("DELETE", f"/images/{image_id(system.uploads, key)}").status_code == 204)
    check(not system.renditions(key))


def sign_form(system: Deployed) -> None:
    form = system.api("POST", "/uploads", json={"key": "signed.png"}).json()
    sent = httpx.post(
        form["url"], data=form["fields"], files={"file": picture(40, 30)}, verify=NO_CERTIFICATES
    )
    check(sent.status_code == 204)


# ---------------------------------------------------------------------- deliver
def deliver_stored(system: Deployed) -> None:
    key = system.upload(picture(40, 30))
    system.tell(key)
    check(system.deliver("/" + system.renditions(key)[0]).status_code == 200)


def deliver_unmade(system: Deployed) -> None:
    """Nothing is there yet but the original, and something that does not belong to it."""
    key = system.upload(picture(40, 30))
    stray = rendition_prefix(key) + "w=321,fm=jpeg.jpg"
    system.s3.put_object(Bucket=system.processed, Key=stray, Body=b"stray")
    check(system.deliver("/" + rendition_prefix(key) + "w=320,fm=jpeg.jpg").status_code == 200)
    check(stray not in system.renditions(key))


def deliver_again(system: Deployed) -> None:
    """The original is a new one, and one rendition of the old one is gone."""
    key = system.upload(picture(40, 30))
    system.tell(key)
    system.upload(picture(30, 40), key)
    gone = rendition_prefix(key) + "w=320,fm=jpeg.jpg"
    system.s3.delete_object(Bucket=system.processed, Key=gone)
    check(system.deliver("/" + gone).status_code == 200)


def deliver_on_demand(system: Deployed) -> None:
    """What no preset declares, for who brings a signature."""
    key = system.upload(picture(40, 30))
    system.tell(key)
    keyring = Keyring({kid: secret.encode() for kid, secret in [URL_KEY]})
    path = f"{quote(key)}/~w=33,fm=png.png"
    signature = signature_query(keyring.sign(parse_url(path)))
    check(system.deliver(f"/{path}").status_code == 403)
    check(system.deliver(f"/{path}?{signature}").status_code == 200)
    check(f"{key}/~w=33,fm=png.png" in system.renditions(key))


def deliver_going(system: Deployed) -> None:
    """The original goes while its renditions are made.

    They are stored when the last one is made, so the lease tells that the work has begun.
    """
    key = system.upload(picture(3000, 2000))
    with ThreadPoolExecutor(1) as beside:
        answer = beside.submit(system.deliver, "/" + rendition_prefix(key) + "w=320,fm=jpeg.jpg")
        wait_for(lambda: system.record(key), "the lease")
        system.delete(key)
        check(answer.result().status_code == 404)
    check(system.record(key) is None)
    check(not system.renditions(key))


def deliver_nothing(system: Deployed) -> None:
    check(system.deliver("/never-there.png/w=320,fm=jpeg.jpg").status_code == 404)


# ---------------------------------------------------------------------- optional parts
def overwrite(system: Deployed) -> None:
    """A changed image: its event arrives at the bus, its invalidation in the queue."""
    key = system.upload(picture(40, 30))
    check(system.tell(key) == {"batchItemFailures": []})
    system.upload(picture(30, 40), key)
    check(system.tell(key) == {"batchItemFailures": []})
    check(not outbox(system, key))


def overwrite_by_api(system: Deployed) -> None:
    key = system.upload(picture(40, 30))
    for size in ((40, 30), (30, 40)):
        system.upload(picture(*size), key)
        check(system.api("POST", "/images", json={"key": key}).status_code == 200)
    check(not outbox(system, key))


def outbox(system: Deployed, key: str) -> object:
    """What is left in the outbox of ``key``."""
    row = system.stack.aws.client("dynamodb").get_item(
        TableName=system.outputs["TableName"], Key={"id": {"S": image_id(system.uploads, key)}}
    )
    return row["Item"].get("outbox")


def invalidate(system: Deployed) -> None:
    """A message that ends as an invalidation, and is gone afterwards."""
    known, key = len(system.stack.aws.decisions()), f"{uuid.uuid4()}.png"
    system.complete_invalidations()
    system.send({"id": key, "key": key}, "InvalidateMapping")

    def done() -> bool:
        invalidated = any(f"/{key}*" in paths for paths in system.invalidations())
        return invalidated and system.backlog("InvalidateMapping") == 0

    def settled() -> bool:
        new = system.stack.aws.decisions(known)
        return done() or any(not each.allowed for each in new)

    wait_for(settled, "the invalidation")
    check(done())


def listen_for_invalidations(system: Deployed) -> None:
    listen(system, "InvalidateMapping")


# ---------------------------------------------------------------------- publish
def publish(system: Deployed) -> None:
    """An entry of the edge is missing and another is too many."""
    store, name = system.edge_store(), "n/w=640,fm=jpeg.jpg"
    store.update(store.version(), {"n/w=1": "some"}, [name] if name in store.read() else [])
    check(system.invoke("publish", {}) == {"changed": 2})
    check(name in store.read())


# ---------------------------------------------------------------------- all
def logs(function: str, scenario: Scenario) -> Scenario:
    """The scenario's own lines arrive in the function's log."""

    def run(system: Deployed) -> None:
        known, lines = len(system.stack.aws.decisions()), len(system.log_lines(function))
        scenario(system)

        def told() -> bool:
            new = [each for each in system.stack.aws.decisions(known) if "logs:" in each.action]
            return any(not each.allowed for each in new) or len(system.log_lines(function)) > lines

        wait_for(told, f"the log of {function}")
        check(len(system.log_lines(function)) > lines)

    return run


SCENARIOS: dict[str, list[Scenario]] = {
    "Process": [make, make_again, purge, poll, listen, logs("process", make)],
    "Reconcile": [heal, delete_orphan, migrate, logs("reconcile", delete_orphan)],
    "Schedule": [delete_orphan],
    "Backfill": [backfill],
    "Api": [
        *(post_image, post_missing_image, look_up, look_through, look_alike, delete_image, sign_form),
        logs("api", look_through),
    ],
    "Deliver": [
        *(deliver_stored, deliver_unmade, deliver_again, deliver_on_demand, deliver_going, deliver_nothing),
        logs("deliver", deliver_nothing),
    ],
    "Publish": [publish, logs("publish", publish)],
}

INVALIDATE_SCENARIOS = [listen_for_invalidations, logs("invalidate", invalidate)]
"""As the others, of a function that only a stack with EnablePurge has."""
