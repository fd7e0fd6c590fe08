"""The health of a server whose changed recipe is invalid."""

from __future__ import annotations

import pytest
from http_machine import Client, Machine

from image_processor.config.recipe import parse_recipe
from image_processor.domain.errors import InvalidRecipe


def test_an_invalid_recipe_degrades_the_health_of_a_server_that_serves(
    client: Client, machine: Machine
) -> None:
    """The status code stays 200: a load balancer or orchestrator must not stop a server that works."""
    with pytest.raises(InvalidRecipe):
        machine.live_recipe.reload(lambda: parse_recipe("[presets.a]\nwidth = 1\n"))
    response = client.get("/health")
    body = response.json()
    assert (response.status_code, body["status"]) == (200, "degraded")
    assert "at least one [[rules]] table" in body["recipe_error"]
    assert body["recipe_error"] in body["detail"]
    assert client.get("/recipe").status_code == 200

    machine.live_recipe.reload(lambda: machine.ingest.recipe)
    assert client.get("/health").json()["status"] == "ok"


def test_what_degrades_it_more_is_reported_first(client: Client, machine: Machine) -> None:
    with pytest.raises(InvalidRecipe):
        machine.live_recipe.reload(lambda: parse_recipe(""))
    machine.data_trouble = "the catalog is damaged"
    response = client.get("/health")
    assert (response.status_code, response.json()["detail"]) == (503, "the catalog is damaged")
    assert response.json()["recipe_error"] is not None
