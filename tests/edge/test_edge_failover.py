"""Stored renditions come from the bucket, missing ones are rendered once, and nothing else is served."""

from __future__ import annotations

from functools import partial

import pytest
from edge_function import Host
from edge_messages import NotSimulated
from edge_origins import MAX_REPLY
from edge_stack import Edge, Json, Mutation, Scenario, assert_seen, distribution, named

from image_processor.aws_lambda import deliver_function as reads
from image_processor.aws_lambda.deliver_function import MAX_BODY
from image_processor.domain.errors import Unavailable
from image_processor.domain.ports import Attributes
from support.aws_emulation.policies import Call, allows_service

URI = "/photos/cat.jpg/w=10,fm=jpeg.jpg"
BODY = b"w=10,fm=jpeg of cat"
RECORD = ".image-processor/records/x.json"
SECRET = b'{"secret": true}'


def test_a_stored_rendition_comes_from_the_bucket_and_the_function_is_not_called(edge: Edge) -> None:
    edge.ingest.processed.put(URI[1:], BODY, Attributes("image/jpeg", "public, max-age=60"))
    answer = edge.ask(URI)
    assert (answer.status, answer.body, answer.headers.get("content-type")) == (200, BODY, "image/jpeg")
    assert (len(edge.bucket.asked), edge.function.asked) == (1, [])


def test_a_missing_rendition_is_rendered_then_served_by_the_bucket(edge: Edge) -> None:
    edge.ingest.put("photos/cat.jpg", b"cat")
    result = edge.ask(URI)
    assert (result.status, result.body, result.headers.get("content-type")) == (200, BODY, "image/jpeg")
    edge.later(61)
    stored = edge.ask(URI)
    assert (stored.status, stored.body) == (200, BODY)
    assert (len(edge.bucket.asked), len(edge.function.asked)) == (2, 1)
    assert stored.headers["content-type"] == result.headers["content-type"]


@pytest.mark.parametrize("fault", [500, 503, 504])
def test_a_failing_bucket_fails_over(edge: Edge, fault: int) -> None:
    edge.ingest.put("photos/cat.jpg", b"cat")
    edge.bucket.fault = fault
    answer = edge.ask(URI)
    assert (answer.status, answer.body) == (200, BODY)


def test_a_rendition_over_lambdas_limit_is_stored_redirected_to_and_served_by_the_bucket(edge: Edge) -> None:
    picture = b"x" * (MAX_BODY + 1)
    edge.ingest.put("photos/cat.jpg", picture)
    redirect = edge.ask(URI)
    assert (redirect.status, redirect.headers["location"]) == (307, URI)
    # Not cached, or the viewer would be redirected in a loop.
    assert redirect.headers["cache-control"] == "no-store"
    answer = edge.ask(redirect.headers["location"])
    assert (answer.status, len(answer.body)) == (200, len(b"w=10,fm=jpeg of ") + len(picture))
    assert len(edge.function.asked) == 1


def test_the_largest_rendition_that_the_function_sends_itself_fits_lambdas_limit(edge: Edge) -> None:
    edge.ingest.put("photos/cat.jpg", b"x" * (MAX_BODY - len(b"w=10,fm=jpeg of ")))
    answer = edge.ask(URI)
    assert (answer.status, len(answer.body)) == (200, MAX_BODY)
    assert 1.3 * MAX_BODY < MAX_REPLY


def test_a_response_over_lambdas_limit_fails(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads, "MAX_BODY", 2 * MAX_BODY)
    edge.ingest.put("photos/cat.jpg", b"x" * (MAX_BODY + 500_000))
    assert edge.ask(URI).status == 502


def test_a_path_above_the_bucket_is_rejected(edge: Edge) -> None:
    assert edge.ask("/../cat.jpg/w=10,fm=jpeg.jpg").status == 400
    assert edge.ingest.processed.bodies() == {}


def test_undeclared_renditions_do_not_exist(edge: Edge) -> None:
    edge.ingest.put("photos/cat.jpg", b"cat")
    for uri, status in {
        "/photos/cat.jpg/w=11,fm=jpeg.jpg": 403,
        "/photos/cat.jpg": 403,
        "/none.jpg/w=10,fm=jpeg.jpg": 404,
        "/": 400,
    }.items():
        assert edge.ask(uri).status == status, uri
    assert edge.ingest.processed.bodies() == {}


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_methods_that_write_are_rejected_at_the_edge(edge: Edge, method: str) -> None:
    assert edge.ask(URI, method).status == 403
    assert (edge.bucket.asked, edge.function.asked) == ([], [])


def test_http_redirects_to_https(edge: Edge) -> None:
    answer = edge.ask_plainly(URI)
    assert (answer.status, answer.headers.get("location")) == (301, f"https://cdn.example{URI}")
    assert edge.bucket.asked == []


def test_a_transient_failure_is_503(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    def unavailable(_: str) -> None:
        raise Unavailable("secret detail")

    monkeypatch.setattr(edge.ingest.processed, "head", unavailable)
    answer = edge.ask(URI)
    assert (answer.status, b"secret" in answer.body) == (503, False)


SPELLINGS = (
    "/.image-processor/records/x.json",
    "/%2eimage-processor/records/x.json",
    "/%2Eimage-processor/records/x.json",
    "/.image%2Dprocessor/records/x.json",
    "/%2e%69mage-processor%2frecords%2Fx.json",
    "//.image-processor/records/x.json",
    "/%2F.image-processor/records/x.json",
    "/.Image-Processor/records/x.json",
    "/%252eimage-processor/records/x.json",
    "/./.image-processor/records/x.json",
    "/photos/../.image-processor/records/x.json",
    "/.image-processor",
    "/.image-processor/",
)


@pytest.mark.parametrize("uri", SPELLINGS)
def test_records_are_404_in_any_spelling(edge: Edge, uri: str) -> None:
    edge.ingest.processed.put(RECORD, SECRET, Attributes())
    answer = edge.ask(uri)
    assert (answer.status in {403, 404}, SECRET in answer.body) == (True, False)


@pytest.mark.parametrize("uri", SPELLINGS[:5])
def test_records_are_rejected_before_any_origin(edge: Edge, uri: str) -> None:
    assert edge.ask(uri).status == 404
    assert (edge.bucket.asked, edge.function.asked) == ([], [])


def without_edge_function(resources: Json) -> None:
    distribution(resources)["DefaultCacheBehavior"]["FunctionAssociations"] = []


@pytest.mark.parametrize("uri", SPELLINGS)
def test_records_stay_private_without_the_edge_function_too(node: Host, uri: str) -> None:
    hidden_by_policy(Edge(node, without_edge_function), uri)


def hidden_by_policy(edge: Edge, uri: str = SPELLINGS[0]) -> None:
    edge.ingest.processed.put(RECORD, SECRET, Attributes())
    answer = edge.ask(uri)
    assert (answer.status in {403, 404}, SECRET in answer.body) == (True, False)


def test_the_buckets_policy_refuses_records_and_old_tls(edge: Edge) -> None:
    document = edge.resources["ProcessedBucketPolicy"]["Properties"]["PolicyDocument"]
    distribution_arn = "arn:aws:cloudfront::111122223333:distribution/<Distribution>"

    def allowed(key: str, tls: str = "1.2", caller: str = distribution_arn) -> bool:
        keys = {"aws:sourcearn": caller, "s3:tlsversion": tls, "aws:securetransport": "true"}
        call = Call("s3:GetObject", f"<ProcessedBucket.Arn>/{key}", keys)
        return allows_service([document], "cloudfront.amazonaws.com", call)

    assert allowed(URI[1:])
    assert not allowed(RECORD)
    assert not allowed(URI[1:], tls="1.1")
    assert not allowed(URI[1:], caller=distribution_arn + "x")


def test_the_function_is_reached_through_its_alias_too(node: Host) -> None:
    edge = Edge(node, EnableSnapStart="true")
    test_a_missing_rendition_is_rendered_then_served_by_the_bucket(edge)


# ------------------------------------------------------------------ changed templates fail the scenarios


def without_failover_on(status: int, resources: Json) -> None:
    (group,) = distribution(resources)["OriginGroups"]["Items"]
    group["FailoverCriteria"]["StatusCodes"]["Items"].remove(status)


def without(name: str, resources: Json) -> None:
    del resources[name]


def bucket_statements(resources: Json) -> list[Json]:
    rows: list[Json] = resources["ProcessedBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    return rows


def without_statement(sid: str, resources: Json) -> None:
    rows = bucket_statements(resources)
    rows[:] = [row for row in rows if row["Sid"] != sid]


def open_records(resources: Json) -> None:
    without_edge_function(resources)
    without_statement("HideRecordsFromCdn", resources)


def the_function_first(resources: Json) -> None:
    (group,) = distribution(resources)["OriginGroups"]["Items"]
    group["Members"]["Items"].reverse()


def the_bucket_alone(resources: Json) -> None:
    distribution(resources)["DefaultCacheBehavior"]["TargetOriginId"] = "processed"


def for_another_distribution(name: str, resources: Json) -> None:
    resources[name]["Properties"]["SourceArn"] += "2"


def for_unsigned_calls(resources: Json) -> None:
    resources["DeliverUrlPermission"]["Properties"]["FunctionUrlAuthType"] = "NONE"


def unsigned(access: str, resources: Json) -> None:
    resources[access]["Properties"]["OriginAccessControlConfig"]["SigningBehavior"] = "never"


def letting_the_cdn_list(resources: Json) -> None:
    (row,) = (row for row in bucket_statements(resources) if row["Sid"] == "LetCdnRead")
    row["Action"], row["Resource"] = [row["Action"], "s3:ListBucket"], ["*"]


def posts_allowed(resources: Json) -> None:
    distribution(resources)["DefaultCacheBehavior"]["AllowedMethods"].append("POST")


def plain_http(resources: Json) -> None:
    distribution(resources)["DefaultCacheBehavior"]["ViewerProtocolPolicy"] = "allow-all"


stored = test_a_stored_rendition_comes_from_the_bucket_and_the_function_is_not_called
made = test_a_missing_rendition_is_rendered_then_served_by_the_bucket
policy = test_the_buckets_policy_refuses_records_and_old_tls


def failed_bucket(status: int, edge: Edge) -> None:
    test_a_failing_bucket_fails_over(edge, status)


def refused_early(edge: Edge) -> None:
    test_records_are_rejected_before_any_origin(edge, SPELLINGS[0])


def posted(edge: Edge) -> None:
    test_methods_that_write_are_rejected_at_the_edge(edge, "POST")


@pytest.mark.parametrize(
    ("mutate", "scenario"),
    [
        (partial(without_failover_on, 403), made),
        (partial(without_failover_on, 500), partial(failed_bucket, 500)),
        (partial(without_failover_on, 503), partial(failed_bucket, 503)),
        (partial(without_failover_on, 504), partial(failed_bucket, 504)),
        (the_bucket_alone, made),
        (the_function_first, stored),
        (partial(without, "DeliverUrlPermission"), made),
        (partial(without, "DeliverInvokePermission"), made),
        (partial(for_another_distribution, "DeliverUrlPermission"), made),
        (partial(for_another_distribution, "DeliverInvokePermission"), made),
        (for_unsigned_calls, made),
        (partial(unsigned, "BucketAccess"), stored),
        (partial(unsigned, "FunctionAccess"), made),
        (partial(without_statement, "LetCdnRead"), stored),
        (partial(without_statement, "HideRecordsFromCdn"), policy),
        (partial(without_statement, "DenyOldTls"), policy),
        (open_records, hidden_by_policy),
        (without_edge_function, refused_early),
        (posts_allowed, posted),
        (plain_http, test_http_redirects_to_https),
    ],
    ids=named,
)
def test_a_changed_template_fails_the_scenario(node: Host, mutate: Mutation, scenario: Scenario) -> None:
    assert_seen(mutate, scenario, node)


def test_list_permission_is_needed_for_404_failover(node: Host) -> None:
    def without_404(resources: Json) -> None:
        letting_the_cdn_list(resources)
        without_failover_on(404, resources)

    made(Edge(node, letting_the_cdn_list))
    assert_seen(without_404, made, node)


def test_methods_that_write_never_fail_over(node: Host) -> None:
    edge = Edge(node, posts_allowed)
    assert edge.ask(URI, "POST").status == 403
    assert (len(edge.bucket.asked), edge.function.asked) == (1, [])


def test_the_simulator_rejects_unknown_template_features(node: Host) -> None:
    def logged(resources: Json) -> None:
        distribution(resources)["DefaultCacheBehavior"]["RealtimeLogConfigArn"] = "arn:aws:x"

    with pytest.raises(NotSimulated, match="RealtimeLogConfigArn"):
        Edge(node, logged)
