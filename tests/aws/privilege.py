"""Which of a role's grants nobody would miss."""

from __future__ import annotations

from botocore.exceptions import ClientError
from scenarios import Failed, Scenario

from support.aws_emulation.deployed import Deployed
from support.aws_emulation.policies import Call, allows
from support.aws_emulation.stacks import Grant


def unneeded_grants(system: Deployed, role: str, scenarios: list[Scenario]) -> set[str]:
    """The actions that can be taken from the role, one at a time, and no scenario fails."""
    name = system.role(role)
    unneeded = set()
    with system.without_notifications():
        uses = {scenario: used(system, name, scenario) for scenario in scenarios}
        for grant in system.stack.grants(name):
            trying = [
                scenario for scenario, calls in uses.items() if any(covers(grant, each) for each in calls)
            ]
            with system.stack.without(grant):
                if not any(fails(system, scenario) for scenario in trying):
                    unneeded.add(grant.action)
            for mapping in system.queues:
                system.listen(mapping, enabled=True)
            system.wait_until_idle()
    return unneeded


def used(system: Deployed, role: str, scenario: Scenario) -> list[Call]:
    known = len(system.stack.aws.decisions())
    scenario(system)
    new = system.stack.aws.decisions(known)
    assert all(each.allowed for each in new), "an scenario lacks a grant"
    return [Call(each.action, each.resource) for each in new if each.who == role]


def covers(grant: Grant, call: Call) -> bool:
    statement = {"Effect": "Allow", "Action": grant.action, "Resource": grant.resource}
    return allows([{"Statement": statement}], call)


def fails(system: Deployed, scenario: Scenario) -> bool:
    try:
        scenario(system)
    except (Failed, RuntimeError, ClientError):
        return True
    return False
