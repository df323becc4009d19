"""Recipes are data: all that are shipped load, and a broken one says what is wrong with it."""

import pytest

from edgeonnx import data
from edgeonnx.errors import RecipeError
from edgeonnx.quantize.recipe import list_recipes, load_recipe

TITLE = 'title = "mine"\n'


@pytest.fixture
def own(tmp_path):
    def write(text):
        (tmp_path / "mine.toml").write_text(text)
        return str(tmp_path / "mine.toml")

    return write


def test_the_shipped_ones():
    recipes = list_recipes()
    assert [recipe.name for recipe in recipes] == data.names("calibration")
    assert {"balanced", "fast"} <= {recipe.name for recipe in recipes}
    for recipe in recipes:
        assert recipe.title
        assert recipe == load_recipe(recipe.name)
    fast = load_recipe("fast")
    assert (fast.scopes, fast.calibration.samples) == (("all",), 32)


def test_one_of_the_users_own(own):
    recipe = load_recipe(own(TITLE + 'scopes = ["compute"]\nweights = {per_channel = false}'))
    assert (recipe.name, recipe.title, recipe.scopes) == ("mine", "mine", ("compute",))
    assert (recipe.weights.per_channel, recipe.weights.dtype) == (False, "int8")
    assert recipe.activations.dtype == "uint8"


def test_no_such_recipe_names_those_near():
    with pytest.raises(RecipeError, match=r"no recipe balanzed\. Near: balanced"):
        load_recipe("balanzed")
    with pytest.raises(RecipeError, match=r"no recipe xyz\. Known: .*balanced.*fast"):
        load_recipe("xyz")
    with pytest.raises(RecipeError, match=r"no recipe \./none\.toml\."):
        load_recipe("./none.toml")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "title is missing"),
        (TITLE + "colour = 3", "colour is not a known field. Known: name, title"),
        (TITLE + "weights = {bits = 4}", "weights.bits is not a known field"),
        (TITLE + 'weights = {dtype = "int3"}', r"weights.dtype: expected 'int8' or 'uint8', got 'int3'"),
        (TITLE + "calibration = {samples = 0}", r"calibration.samples: .*greater than or equal to 1, got 0"),
        (TITLE + "scopes = []", r"scopes: .*at least 1 item"),
        (TITLE + 'scopes = ["everything"]', r"scopes.0: expected 'all' or 'compute', got 'everything'"),
        ("title = ", "is not TOML"),
    ],
)
def test_a_broken_file_tells_field_expected_and_got(own, text, match):
    path = own(text)
    with pytest.raises(RecipeError, match=match) as caught:
        load_recipe(path)
    assert str(caught.value).startswith(path)
    assert "\n" not in str(caught.value)


def test_a_file_of_another_encoding(tmp_path):
    (tmp_path / "r.toml").write_bytes(b'title = "\xff"')
    with pytest.raises(RecipeError, match="is not TOML"):
        load_recipe(str(tmp_path / "r.toml"))
