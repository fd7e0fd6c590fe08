"""Which of a role's grants nobody would miss."""

from __future__ import annotations

from botocore.exceptions import ClientError
from errands import Errand, Failed

from support.aws_emulation.deployed import Deployed
from support.aws_emulation.policies import Call, allows
from support.aws_emulation.stacks import Grant


def unneeded_grants(system: Deployed, role: str, errands: list[Errand]) -> set[str]:
    """The actions that can be taken from the role, one at a time, and no errand fails."""
    name = system.role(role)
    unneeded = set()
    with system.without_notifications():
        uses = {errand: used(system, name, errand) for errand in errands}
        for grant in system.stack.grants(name):
            trying = [errand for errand, calls in uses.items() if any(covers(grant, each) for each in calls)]
            with system.stack.without(grant):
                if not any(fails(system, errand) for errand in trying):
                    unneeded.add(grant.action)
            system.listen(enabled=True)
            system.wait_until_idle()
    return unneeded


def used(system: Deployed, role: str, errand: Errand) -> list[Call]:
    known = sum(1 for _ in system.stack.aws.decisions())
    errand(system)
    new = list(system.stack.aws.decisions())[known:]
    assert all(each.allowed for each in new), "an errand lacks a grant"
    return [Call(each.action, each.resource) for each in new if each.who == role]


def covers(grant: Grant, call: Call) -> bool:
    statement = {"Effect": "Allow", "Action": grant.action, "Resource": grant.resource}
    return allows([{"Statement": statement}], call)


def fails(system: Deployed, errand: Errand) -> bool:
    try:
        errand(system)
    except (Failed, RuntimeError, ClientError):
        return True
    return False
