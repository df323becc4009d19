"""A recipe brought together with what a provider takes: the provider's word counts, and what changes is said."""

from edgeonnx.quantize.placement import Dialect, Types
from edgeonnx.quantize.recipe import Recipe


def agreed(recipe: Recipe, dialect: Dialect, provider: str) -> tuple[Recipe, tuple[str, ...]]:
    """The recipe with types and scopes that the dialect allows.

    Activations keep their width where the provider has a type of it.

    Args:
        recipe: of the scheme `static`; others have no placement and come back as they are.
        dialect: of the provider.
        provider: its name, for the messages.

    Returns:
        The recipe and what was changed, one line each.
    """
    if recipe.scheme != "static":
        return recipe, ()
    activations = _fitted(recipe.activations.dtype, recipe.activations.symmetric, dialect.activations)
    weights = _fitted(recipe.weights.dtype, recipe.weights.symmetric, dialect.weights)
    scopes = ("all",) if dialect.complete else recipe.scopes
    changed = recipe.model_copy(
        update={
            "activations": recipe.activations.model_copy(update=activations),
            "weights": recipe.weights.model_copy(update=weights),
            "scopes": scopes,
        }
    )
    return changed, tuple(_changes(recipe, changed, provider))


def _fitted(dtype: str, symmetric: bool, allowed: Types) -> dict[str, object]:
    """A type that is allowed: the one asked for, or another of its width, or the preferred one."""
    same_width = [known for known in allowed.dtypes if known.endswith("16") == dtype.endswith("16")]
    fitting = dtype if dtype in allowed.dtypes else (*same_width, *allowed.dtypes)[0]
    return {"dtype": fitting, "symmetric": symmetric or allowed.symmetric}


def _changes(asked: Recipe, given: Recipe, provider: str) -> list[str]:
    """What is different, one line each."""
    lines = []
    for name in ("activations", "weights"):
        was, now = (_words(getattr(recipe, name)) for recipe in (asked, given))
        if was != now:
            lines.append(f"{name}: {now} in place of the recipe's {was}, which {provider} does not take")
    if asked.scopes != given.scopes:
        lines.append(f"scopes: only {', '.join(given.scopes)}, since {provider} does not run what stays in float")
    return lines


def _words(part: object) -> str:
    return f"{'symmetric' if getattr(part, 'symmetric', False) else 'asymmetric'} {getattr(part, 'dtype', '')}"
