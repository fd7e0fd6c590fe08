"""Other names of parameters and values mean the same image, and are in no canonical text."""

from __future__ import annotations

import pytest

from image_processor.config.recipe import parse_recipe
from image_processor.delivery.url.parser import parse_url
from image_processor.domain.errors import InvalidTransformation
from image_processor.domain.transformation import named, parse

ALIASES = [
    ("width=640,HEIGHT=480,fit=crop,format=JPG", "w=640,h=480,fm=jpeg"),
    ("w=640,h=480,fit=clip,fm=tif", "w=640,h=480,fit=inside,fm=tiff"),
    ("w=640,h=480,crop=top,quality=50,grayscale=true,fm=webp", "w=640,h=480,g=north,grey=1,q=50,fm=webp"),
    ("w=640,background=#FF0000,padding=4,fm=png", "w=640,bg=ff0000,pad=4,fm=png"),
]


@pytest.mark.parametrize(("text", "canonical"), ALIASES)
def test_a_text_may_have_other_names(text, canonical):
    assert str(parse(text)) == str(parse(canonical)) == canonical


@pytest.mark.parametrize(("text", "canonical"), ALIASES)
def test_texts_and_urls_have_the_same_names(text, canonical):
    url = parse_url("cat.jpg", text.replace(",", "&").replace("#", "%23"))
    assert str(parse(url.text)) == canonical


@pytest.mark.parametrize("text", ["width=640,w=320", "width=0,fm=png", "breadth=640", "fm=jpgg"])
def test_a_text_with_other_names_is_checked(text):
    with pytest.raises(InvalidTransformation):
        parse(text)


def test_texts_of_overlays_keep_their_case():
    text = "WIDTH=640,over=text:Cat~20Dog,fm=png"
    assert "over=text:Cat~20Dog" in str(parse(text))


def test_a_stored_name_is_canonical():
    assert named("w=640,fm=webp.webp") == parse("w=640,fm=webp")
    assert named("width=640,fm=webp.webp") is None


def test_a_recipe_may_have_other_values():
    preset = (
        'width = 64\nheight = 48\nfit = "crop"\ngravity = "top"\nformats = ["jpg"]\nquality = { jpg = 50 }'
    )
    recipe = parse_recipe(f'[presets.p]\n{preset}\n[[rules]]\nmatch = "**"\npresets = ["p"]\n')
    assert [str(item) for item in recipe.transformations_for("cat.jpg")] == ["w=64,h=48,g=north,q=50,fm=jpeg"]
