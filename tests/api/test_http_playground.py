"""Routes with which the studio tries transformations."""

from __future__ import annotations

import pytest
from http_machine import Client, Machine

from image_processor.domain.keys import image_id
from image_processor.domain.transformation import PARAMETERS

ID = image_id("uploads", "cat.jpg")


def test_the_parameters_are_those_of_the_table(client: Client) -> None:
    listed = client.get("/parameters").json()["parameters"]
    assert [parameter["name"] for parameter in listed] == [parameter.name for parameter in PARAMETERS]
    by_name = {parameter["name"]: parameter for parameter in listed}
    shown = ("control", "low", "high", "choices", "default", "repeatable")

    def of(name: str) -> list[object]:
        return [by_name[name][field] for field in shown]

    assert client.get("/parameters").json()["overlays"] is None
    assert of("w") == ["integer", 1, 16383, [], None, False]
    assert of("rot") == ["number", -360, 360, [], "0", False]
    assert of("gx") == ["length", -16383, 16383, [], "0", False]
    assert of("flip") == ["choice", None, None, ["h", "v", "hv"], None, False]
    assert of("orient") == ["flag", None, None, [], "1", False]
    assert of("bg") == ["colour", None, None, [], None, False]
    assert of("over") == ["text", None, None, [], None, True]
    assert by_name["fit"]["meaning"] == "how the image fits `w` and `h`; see Fit"


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda parameter: parameter.name)
def test_what_a_parameter_offers_is_what_it_accepts(parameter) -> None:
    type_ = parameter.type
    offered = [*type_.choices, *(str(end) for end in (type_.low, type_.high) if end is not None)]
    assert all(type_.is_valid(type_.read(text)) for text in offered)
    if type_.high is not None:
        assert not type_.is_valid(type_.read(str(type_.high + 1)))


def test_a_preview_is_the_rendition_itself(machine: Machine, client: Client) -> None:
    machine.ingest.put("cat.jpg", b"a cat")
    client.post("/images", json={"key": "cat.jpg"})
    for is_stored in (False, True):
        preview = client.post(f"/images/{ID}/preview", json={"transformation": "fm=webp,w=5"})
        assert (preview.status_code, preview.headers["content-type"]) == (200, "image/webp")
        assert preview.headers["image-processor-transformation"] == "w=5,fm=webp"
        assert ("server-timing" in preview.headers) is not is_stored
        (stored,) = (key for key in machine.ingest.processed.bodies() if key.startswith("cat.jpg/~"))
        assert preview.content == machine.ingest.processed.bodies()[stored]


def test_a_preview_says_what_is_wrong(machine: Machine, client: Client) -> None:
    unknown = client.post(f"/images/{ID}/preview", json={"transformation": "w=5"})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not-found")
    machine.ingest.put("cat.jpg", b"a cat")
    client.post("/images", json={"key": "cat.jpg"})
    wrong = client.post(f"/images/{ID}/preview", json={"transformation": "w=0,fit=box"})
    assert [problem["name"] for problem in wrong.json()["problems"]] == ["w", "fit"]
