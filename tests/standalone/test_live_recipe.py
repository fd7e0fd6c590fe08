"""The recipe of a running server is replaced: workers, delivery and reconciliation go by the new one."""

from __future__ import annotations

from pathlib import Path

import pytest
import skimage

from image_processor.bootstrap.standalone import StandaloneContext, open_server_context
from image_processor.config.recipe import parse_recipe
from image_processor.config.settings import Settings
from image_processor.domain.errors import InvalidRecipe, NotFound
from image_processor.domain.keys import image_id
from image_processor.domain.models import Status, Upload, UploadKind
from image_processor.domain.ports import Attributes
from image_processor.standalone.live_recipe import LiveRecipe
from support.waiting import wait_for

COFFEE = (Path(skimage.__file__).parent / "data" / "coffee.png").read_bytes()


def recipe_text(width: int) -> str:
    return f"""[presets.card]
width = {width}
formats = ["jpeg"]
[[rules]]
match = "**"
presets = ["card"]
"""


def test_followers_are_told_of_recipes_that_differ_and_pass_the_check() -> None:
    def check(recipe: object) -> None:
        if recipe == parse_recipe(recipe_text(3)):
            raise InvalidRecipe([])

    live, told = LiveRecipe(parse_recipe(recipe_text(1)), check), []
    live.follow(told.append)
    assert not live.replace(parse_recipe(recipe_text(1)))
    assert live.replace(parse_recipe(recipe_text(2)))
    with pytest.raises(InvalidRecipe):
        live.replace(parse_recipe(recipe_text(3)))
    assert live.current == parse_recipe(recipe_text(2))
    assert told == [live.current]


def put(context: StandaloneContext, key: str) -> None:
    context.uploads.put(key, COFFEE, Attributes("image/png"))
    context.submit(Upload(context.bucket, key, UploadKind.CREATED))


def rendition_widths(context: StandaloneContext, key: str) -> list[int] | None:
    record = context.catalog.get(image_id(context.bucket, key))
    if record is None or record.status is not Status.PROCESSED:
        return None
    return [rendition.metadata.width for rendition in record.renditions]


def test_a_running_server_goes_by_the_reloaded_recipe(tmp_path: Path) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text(recipe_text(40))
    settings = Settings(data=tmp_path / "data", recipe=str(file), workers=1)
    with open_server_context(settings) as context:
        put(context, "old.png")
        wait_for(lambda: rendition_widths(context, "old.png") == [40], "the first rendition")
        assert not context.reload_recipe()

        file.write_text("[[rules]]")
        with pytest.raises(InvalidRecipe):
            context.reload_recipe()
        file.write_text(recipe_text(60))
        assert context.reload_recipe()
        assert context.recipe == parse_recipe(recipe_text(60))
        put(context, "new.png")
        wait_for(lambda: rendition_widths(context, "new.png") == [60], "an upload by the new recipe")
        wait_for(lambda: rendition_widths(context, "old.png") == [60], "the old image made anew")
        assert context.delivery.resolver.is_declared("old.png/w=60,fm=jpeg.jpg")
        assert not context.delivery.resolver.is_declared("old.png/w=40,fm=jpeg.jpg")
        with pytest.raises(NotFound):
            context.processed.head("old.png/w=40,fm=jpeg.jpg")
