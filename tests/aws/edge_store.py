"""Stands in for `aws cloudfront-keyvaluestore`, which the emulated AWS has not: the store is a file.

Every other call goes to the AWS CLI, whose path is the first argument; the second is the file.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def main(program: str, file: Path, *arguments: str) -> None:
    if arguments[0] != "cloudfront-keyvaluestore":
        os.execv(program, [program, *arguments])
    stored: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
    given = json.loads(
        Path(arguments[arguments.index("--cli-input-json") + 1].removeprefix("file://")).read_text()
    )
    match arguments[1]:
        case "list-keys":
            sys.stdout.write(
                json.dumps({"Items": [{"Key": key, "Value": value} for key, value in stored.items()]})
            )
            return
        case "update-keys":
            assert given["IfMatch"] == _etag(stored)
            stored |= {put["Key"]: put["Value"] for put in given["Puts"]}
            for delete in given["Deletes"]:
                del stored[delete["Key"]]
            file.write_text(json.dumps(stored))
        case operation:
            assert operation == "describe-key-value-store"
    sys.stdout.write(json.dumps({"ETag": _etag(stored)}))


def _etag(stored: dict[str, str]) -> str:
    return f"E{len(stored)}"


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
