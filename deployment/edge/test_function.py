"""Runs the deployed CloudFront function on sample requests, with `aws cloudfront test-function`.

Fails if a result is wrong, or if the function uses more than 70 % of the time that CloudFront allows: only
CloudFront measures that, and it ends a function that needs more. The samples are valid for every recipe and
contain no secret. CloudFront charges nothing for tests.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

MAX_UTILIZATION = 70
"""Percent of the allowed time ("Understand compute utilization" in CloudFront's guide)."""

STAGE = "DEVELOPMENT"
"""The stage that the next version is published from; after a deployment it has the code of LIVE."""

Call = Callable[[Sequence[str]], dict[str, Any]]
"""Calls an operation of `aws cloudfront` with its arguments. Returns the output."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A request, and what the function may answer: an error's status, or None for a forwarded request."""

    name: str
    uri: str
    answers: tuple[int | None, ...]
    method: str = "GET"
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def event(self) -> dict[str, Any]:
        """The event object ("CloudFront Functions event structure")."""
        return {
            "version": "1.0",
            "context": {"eventType": "viewer-request"},
            "viewer": {"ip": "198.51.100.11"},
            "request": {
                "method": self.method,
                "uri": self.uri,
                "querystring": {name: {"value": value} for name, value in self.query.items()},
                "headers": {name: {"value": value} for name, value in self.headers.items()},
                "cookies": {},
            },
        }


_ACCEPT = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"
_MANY = (
    "rect=0:0:9:9,rot=90,w=640,h=480,fit=cover,g=attention,bg=ff8800,gam=1.2,bri=3,con=4,sat=5,blur=2,q=80"
)
SAMPLES = (
    Sample("a preflight", "/photos/cat.jpg", (204,), "OPTIONS", headers={"origin": "https://example.org"}),
    Sample("a record", "/.image-processor/records/x.json", (404,)),
    Sample("a malformed path", "/%zz", (400,)),
    # Public or not by the recipe.
    Sample("a stored name", "/photos/cat.jpg/w=640,fm=jpeg.jpg", (None, 403)),
    Sample("a negotiated name", "/photos/cat.jpg/w=640,fm=auto", (None, 403), headers={"accept": _ACCEPT}),
    Sample("an on-demand name", f"/photos/cat.jpg/~{_MANY},fm=webp.webp", (None, 403)),
    Sample(
        "a signature of an unknown key",
        f"/photos/cat.jpg/~{_MANY},fm=auto",
        (403,),
        query={"kid": "none", "expires": "1900000000", "s": "A" * 43},
        headers={"accept": _ACCEPT},
    ),
)


def problems(name: str, call: Call, samples: Sequence[Sample] = SAMPLES) -> Iterator[str]:
    """What is wrong with the function of this name."""
    etag = call(["describe-function", "--name", name, "--stage", STAGE])["ETag"]
    for sample in samples:
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(sample.event(), file)
            file.flush()
            arguments = ["test-function", "--name", name, "--if-match", etag, "--stage", STAGE]
            result = call([*arguments, "--event-object", f"fileb://{file.name}"])["TestResult"]
        yield from _problems_of(sample, result)


def _problems_of(sample: Sample, result: Mapping[str, Any]) -> Iterator[str]:
    if error := result.get("FunctionErrorMessage"):
        yield f"expected a result for {sample.name}, got {error}"
        return
    utilization = int(result["ComputeUtilization"])
    if utilization > MAX_UTILIZATION:
        yield f"expected at most {MAX_UTILIZATION} % compute utilization for {sample.name}, got {utilization}"
    output = json.loads(result["FunctionOutput"])
    status = output.get("response", {}).get("statusCode")
    if status not in sample.answers:
        expected = " or ".join("a request" if answer is None else str(answer) for answer in sample.answers)
        yield f"expected {expected} for {sample.name}, got {status or 'a request'}"


def aws(arguments: Sequence[str]) -> dict[str, Any]:
    """Call the AWS CLI. Raises ValueError if it fails."""
    command = f"aws cloudfront {' '.join(arguments)} --output json"
    done = subprocess.run(command.split(), stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise ValueError(f"expected aws cloudfront {arguments[0]} to succeed, got {done.returncode}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Run the deployed CloudFront function on sample requests.")
    parser.add_argument("--name", required=True, help="the function's name: STACK-REGION")
    options = parser.parse_args(arguments)
    try:
        found = list(problems(options.name, aws))
    except ValueError as error:
        found = [str(error)]
    for problem in found:
        print(problem, file=sys.stderr)
    if not found:
        print(f"   {len(SAMPLES)} sample requests")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
