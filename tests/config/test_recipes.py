"""Recipes: the built-in one, the meaning of a text, and problems with their lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_processor.config.recipe import DEFAULT_RECIPE, parse_recipe
from image_processor.domain.errors import InvalidRecipe, Problem
from image_processor.domain.transformation import parse

FIELDS = ["width", "widths", "height", "fit", "gravity", "background", "enlarge", "quality", "formats"]
FIELDS += [
    "region",
    "rotate",
    "ratio",
    "focal_point",
    "blur",
    "padding",
    "duotone",
    "overlays",
    "steps",
    "transformations",
]
SIDE = "a whole number of pixels from 1 to 16383"
QUALITY = "1-100, auto, or a table such as { jpeg = 75, avif = 60 }"
FITS = "cover | contain | fill | inside | outside | fill-down"
CROPPING = "fit cover, fill-down or contain, which crop or pad"
NAMES = "a name that docs/transformations.md lists"
RULE = '[[rules]]\nmatch = "**"\npresets = ["p"]\n'


def made(preset: str, key: str = "cat.jpg") -> list[str]:
    recipe = parse_recipe(f"[presets.p]\n{preset}\n{RULE}")
    return [str(each) for each in recipe.transformations_for(key)]


def problems_of(text: str) -> list[str]:
    with pytest.raises(InvalidRecipe) as caught:
        parse_recipe(text)
    return [str(problem) for problem in caught.value.problems]


def test_the_built_in_recipe_makes_a_smart_thumbnail_and_four_widths_in_two_formats():
    recipe = parse_recipe(DEFAULT_RECIPE)
    texts = {str(each) for each in recipe.transformations_for("any/where/cat.jpg")}
    sizes = ["w=200,h=200,g=attention", "w=320", "w=640", "w=1280", "w=1920"]
    assert texts == {f"{size},fm={format_}" for size in sizes for format_ in ("avif", "jpeg")}


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        ("width = 10", ["w=10,fm=avif", "w=10,fm=jpeg"]),
        ('widths = [10, 20]\nformats = ["png"]', ["w=10,fm=png", "w=20,fm=png"]),
        ('height = 10\nformats = ["gif"]', ["h=10,fm=gif"]),
        (
            'width = 10\nsteps = ["grey:1", "image:a.png", "crop:0:0:5:5"]\nformats = ["png"]',
            ["w=10,then=grey:1,then=image:a.png,then=crop:0:0:5:5,fm=png"],
        ),
        (
            (
                'width = 10\nheight = 20\nfit = "contain"\ngravity = "north"\nbackground = "#F80"\n'
                'formats = ["webp"]'
            ),
            ["w=10,h=20,fit=contain,g=north,bg=ff8800,fm=webp"],
        ),
        ('width = 10\nenlarge = true\nformats = ["jpeg"]', ["w=10,enlarge=1,fm=jpeg"]),
        ('width = 10\nquality = 50\nformats = ["jpeg", "png"]', ["w=10,q=50,fm=jpeg", "w=10,fm=png"]),
        (
            'width = 10\nquality = { jpeg = 50 }\nformats = ["jpeg", "webp"]',
            ["w=10,q=50,fm=jpeg", "w=10,fm=webp"],
        ),
        (
            (
                'ratio = "16:9"\nregion = [0.1, 0, 0.5, 1.0]\nrotate = 90\nflip = "h"\n'
                "blur = 2.5\npadding = [10, 0.05]\n"
                'duotone = ["000", "ffffff"]\ngrey = true\nformats = ["webp"]'
            ),
            [
                (
                    "rect=0.1:0:0.5:1.0,rot=90,flip=h,ar=16:9,grey=1,duo=000000:ffffff,blur=2.5,"
                    "pad=10:0.05,fm=webp"
                )
            ],
        ),
        ('widths = [10, 20]\nratio = 2\nformats = ["png"]', ["w=10,h=5,fm=png", "w=20,h=10,fm=png"]),
        ('width = 10\ndpr = 2\nsharpen = 1.5\nformats = ["png"]', ["w=20,sharp=1.5,fm=png"]),
        ('width = 10\nquality = "auto"\nformats = ["png", "webp"]', ["w=10,fm=png", "w=10,q=auto,fm=webp"]),
        ('zoom = 1\nformats = ["webp"]', ["fm=webp"]),
        ('transformations = ["fm=webp,w=10", "h=5"]', ["w=10,fm=webp", "h=5,fm=jpeg"]),
    ],
)
def test_a_preset_becomes_transformations(preset, expected):
    assert made(preset) == expected


def test_the_first_matching_rule_applies():
    recipe = parse_recipe("""
        [presets]
        a = { width = 1, formats = ["jpeg"] }
        b = { width = 2, formats = ["jpeg"] }
        [[rules]]
        match = "private/**"
        presets = []
        [[rules]]
        match = "**/*.{gif,webp}"
        presets = ["a", "b"]
        [[rules]]
        match = "photos/*"
        presets = ["b"]
    """)
    assert recipe.transformations_for("private/cat.gif") == ()
    assert recipe.transformations_for("x/y/cat.gif") == (parse("w=1,fm=jpeg"), parse("w=2,fm=jpeg"))
    assert recipe.transformations_for("cat.webp") == (parse("w=1,fm=jpeg"), parse("w=2,fm=jpeg"))
    assert recipe.transformations_for("photos/cat.jpg") == (parse("w=2,fm=jpeg"),)
    assert recipe.transformations_for("photos/deep/cat.jpg") == ()


@pytest.mark.parametrize(
    ("preset", "message"),
    [
        ("width = 0", f"line 2: expected {SIDE} for presets.p.width, got 0"),
        (
            "width = true",
            f"line 2: expected {SIDE} for presets.p.width, got True",
        ),
        ("widths = []", "line 2: expected a list of whole numbers for presets.p.widths, got []"),
        (
            'widths = [1, "2"]',
            f"line 2: expected {SIDE} for presets.p.widths, got '2'",
        ),
        ("width = 1\nwidths = [2]", "line 3: expected either width or widths for presets.p.widths, got both"),
        (
            'formats = ["jpeg"]',
            "line 1: expected one of width, widths, height, ratio, zoom for presets.p, got none of them",
        ),
        (
            'width = 1\nheight = 1\nfit = "covr"',
            f"line 4: expected {FITS} for presets.p.fit, got 'covr'",
        ),
        (
            'width = 1\nfit = "fill"',
            "line 3: expected both a width and a height for presets.p.fit, got only one",
        ),
        (
            'width = 1\nheight = 1\nfit = "inside"\ngravity = "north"',
            f"line 5: expected {CROPPING} for presets.p.gravity, got 'inside'",
        ),
        (
            'width = 1\nbackground = "reddish"',
            "line 3: expected a colour as RRGGBB for presets.p.background, got 'reddish'",
        ),
        ('width = 1\nenlarge = "yes"', "line 3: expected true or false for presets.p.enlarge, got 'yes'"),
        ("width = 1\nquality = 250", f"line 3: expected {QUALITY} for presets.p.quality, got 250"),
        (
            "width = 1\nquality = { png = 5 }",
            "line 3: expected jpeg | webp | avif | avifs for presets.p.quality, got 'png'",
        ),
        (
            "width = 1\nquality = []",
            f"line 3: expected {QUALITY} for presets.p.quality, got []",
        ),
        (
            'width = 1\nformats = ["bmp"]',
            (
                "line 3: expected jpeg | png | webp | avif | gif | tiff | apng | avifs "
                "for presets.p.formats, got 'bmp'"
            ),
        ),
        ("width = 1\nformats = 1", "line 3: expected a list of formats for presets.p.formats, got 1"),
        (
            "width = 1\ncolur = 1",
            (
                f"line 3: expected {NAMES}, such as colour or colours or blur for presets.p.colur, "
                "got an unknown name"
            ),
        ),
        (
            "width = 1\nregion = [0, 0, 0.5]",
            (
                "line 3: expected left:top:width:height, each pixels or a share of the side such as 0.25 "
                "for presets.p.region, got [0, 0, 0.5]"
            ),
        ),
        ('width = 1\nblur = "5"', "line 3: expected 0.3-250 for presets.p.blur, got '5'"),
        (
            "width = 16383\ndpr = 2",
            (
                "line 3: expected one that makes no side longer than 16383 pixels for "
                "presets.p.dpr, got 32766 pixels"
            ),
        ),
        (
            'width = 1\ntransformations = ["w=1"]',
            "line 3: expected no other field with it for presets.p.transformations, got width",
        ),
        (
            'transformations = ["w=0"]',
            (
                "line 2: expected a whole number of pixels from 1 to 16383 for "
                "presets.p.transformations.w, got 0"
            ),
        ),
        (
            "transformations = []",
            'line 2: expected a list of texts such as "w=640,fm=webp" for presets.p.transformations, got []',
        ),
        (
            "width = 1\nsteps = 1",
            'line 3: expected a list of texts such as "blur:3" for presets.p.steps, got 1',
        ),
        (
            'width = 1\nsteps = ["blur:3", "blur:0"]',
            "line 3: expected 0.3-250 for presets.p.steps.2.then=blur, got 0",
        ),
        ("width = 1\noverlays = 1", "line 3: expected a list of tables for presets.p.overlays, got 1"),
    ],
)
def test_an_invalid_preset_is_reported_with_its_line(preset, message):
    assert problems_of(f"[presets.p]\n{preset}\n{RULE}") == [message]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected at least one [[rules]] table for rules, got []"),
        ("x = ", "line 1: expected TOML for the file, got Invalid value (at end of document)"),
        ("\n\nx = [", "line 3: expected TOML for the file, got Invalid value (at end of document)"),
        (
            "a = 1\na = 2\n",
            "line 2: expected TOML for the file, got Cannot overwrite a value (at line 2, column 6)",
        ),
        (f"presets = 3\n{RULE}", "line 1: expected a table for presets, got 3"),
        (
            '[[rules]]\nmatch = "**"\npresets = ["q"]\n',
            "line 3: expected a preset of this recipe () for rules.1.presets, got 'q'",
        ),
        (
            '[[rules]]\nmatch = "**"\npresets = [[]]\n',
            "line 3: expected a preset of this recipe () for rules.1.presets, got []",
        ),
        (
            "[[rules]]\nmatch = 5\npresets = []\n",
            'line 2: expected a glob such as "photos/**/*.jpg" for rules.1.match, got 5',
        ),
        (
            f"[presets.p]\nwidth = 1\n[presets.q]\nwidth = 1\n{RULE}",
            "line 3: expected a rule that names it for presets.q, got none",
        ),
        (
            '[presets.p]\nwidth = 1\n[[rules]]\nmatch = "**"\npresets = ["p", "p"]\n',
            "line 5: expected each preset once for rules.1.presets, got ['p', 'p']",
        ),
        (
            '[[rules]]\nmatch = "{a,b"\npresets = []\n',
            "line 2: expected a well-formed glob for rules.1.match, got unclosed brace in '{a,b'",
        ),
        (
            '[[rules]]\nmatch = "**"\npresets = []\n[[rules]]\nmatch = "a"\npresets = []\n',
            'line 4: expected no rule after match = "**", which takes every key for rules.2, got one',
        ),
        (
            '[[rules]]\nmatch = "**"\npresets = []\nprests = 1\n',
            "line 4: expected one of match, presets, cache_control for rules.1.prests, got an unknown name",
        ),
    ],
)
def test_an_invalid_recipe_is_reported_with_its_line(text, message):
    assert message in problems_of(text)


def test_every_problem_is_reported_in_the_order_of_lines():
    found = problems_of(
        '[presets.p]\nwidth = 0\n[presets."q.r"]\nheight = -1\n[[rules]]\nmatch = 1\npresets = "p"\n'
    )
    assert [line.split(":")[0] for line in found] == ["line 2", "line 4", "line 6", "line 7"]


TEXTS = st.sampled_from(['"jpeg"', '"cover"', '"**"', '"p"', '"x"'])
VALUES = st.recursive(
    st.one_of(st.booleans(), st.integers(-5, 20000), TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["jpeg", "match"]), inner, max_size=2)
    ),
    max_leaves=5,
)


def as_toml(value) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(as_toml, value)) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {as_toml(inner)}" for name, inner in value.items()) + " }"
    return str(value).lower() if isinstance(value, bool) else str(value)


@pytest.mark.parametrize(
    "text",
    [
        "# first\na" + ".a" * 30_000 + " = 1",
        "\n[a" + " . 'a'" * 60 + "]",
        '\nb = {x = 1, "a"' + '."\\""' * 60 + " = 1}",
    ],
    ids=["key", "table", "inline"],
)
def test_keys_of_many_parts_are_refused_before_they_take_time(text: str) -> None:
    with pytest.raises(InvalidRecipe) as error:
        parse_recipe(text)
    (problem,) = error.value.problems
    assert (problem.line, problem.expected) == (2, "TOML with shorter, less nested keys")


def test_names_with_many_dots_are_fine_in_values() -> None:
    names = ",".join(f"{n}.jpg" for n in range(200))
    text = f'[presets.a]\nwidth = 1\n[[rules]]\nmatch = "{{{names}}}"\npresets = ["a"]\n'
    assert parse_recipe(text).presets_for("199.jpg") == ("a",)


@pytest.mark.parametrize("value", ["[" * 9999, "9" * 5000], ids=["nested", "digits"])
def test_a_value_that_tomllib_cannot_read_is_a_problem_of_the_file(value):
    """How tomllib says so depends on the version of Python."""
    (message,) = problems_of(f"x = {value}")
    assert "expected TOML" in message


@given(
    st.dictionaries(st.sampled_from([*FIELDS, "x"]), VALUES, max_size=4),
    st.dictionaries(st.sampled_from(["match", "presets", "y"]), VALUES, max_size=3),
)
def test_any_toml_is_a_recipe_or_a_list_of_problems(preset, rule):
    lines = ["[presets.p]", *(f"{name} = {as_toml(value)}" for name, value in preset.items())]
    lines += ["[[rules]]", *(f"{name} = {as_toml(value)}" for name, value in rule.items())]
    problems: tuple[Problem, ...] = ()
    try:
        parse_recipe("\n".join(lines)).transformations_for("cat.jpg")
    except InvalidRecipe as error:
        problems = error.problems
    assert all(problem.line for problem in problems)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("public = 1", "line 4: expected true or false for presets.a.public, got 1"),
        ('public = "no"', "line 4: expected true or false for presets.a.public, got 'no'"),
        ("eager = 0", "line 4: expected true or false for presets.a.eager, got 0"),
    ],
)
def test_public_and_eager_are_booleans(line, message):
    text = f'[presets.a]\nwidth = 5\nformats = ["webp"]\n{line}\n[[rules]]\nmatch = "**"\npresets = ["a"]\n'
    assert problems_of(text) == [message]


def test_a_private_preset_may_be_written_as_texts():
    preset = '[presets.a]\npublic = false\ntransformations = ["w=5,fm=webp"]\n'
    recipe = parse_recipe(preset + '[[rules]]\nmatch = "**"\npresets = ["a"]\n')
    (result,) = recipe.transformations_for("x.jpg")
    assert recipe.private == {"a"}
    assert recipe.stored_name("x.jpg", result) == "~w=5,fm=webp.webp"


@pytest.mark.parametrize("given", ["7", '"ä"', '""', '"a\\nb"'])
def test_the_cache_control_of_a_rule_is_one_line_of_ascii(given):
    text = f'[presets.a]\nwidth = 5\n[[rules]]\nmatch = "**"\npresets = ["a"]\ncache_control = {given}\n'
    (message,) = problems_of(text)
    assert message.startswith(
        "line 6: expected a line of ASCII such as max-age=3600 for rules.1.cache_control"
    )


def test_a_rendition_is_eager_if_any_preset_of_its_rule_makes_it_at_upload():
    preset = "[presets.{}]\nwidths = {}\nformats = ['webp']\n{}\n"
    text = preset.format("a", [1, 2], "") + preset.format("b", [2, 3], "eager = false")
    text += "[presets.c]\neager = false\ntransformations = ['w=4,fm=webp']\n"
    text += "[[rules]]\nmatch = 'b*'\npresets = ['b']\n[[rules]]\nmatch = '**'\npresets = ['b', 'a', 'c']\n"
    recipe = parse_recipe(text)
    assert recipe.lazy == {"b", "c"}
    assert [item.width for item in recipe.eager_for("x.jpg")] == [2, 1]
    assert {key: item.width for key, item in recipe.lazy_for("x.jpg").items()} == {
        "x.jpg/w=3,fm=webp.webp": 3,
        "x.jpg/w=4,fm=webp.webp": 4,
    }
    assert (recipe.eager_for("b.jpg"), len(recipe.lazy_for("b.jpg"))) == ((), 2)
    assert recipe.without_lazy().eager_for("b.jpg") == recipe.transformations_for("b.jpg")
