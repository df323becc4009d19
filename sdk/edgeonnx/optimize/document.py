"""Writes the generated part of `docs/optimize.md`: the passes, by what stands at the top of their files."""

import inspect
import sys
import textwrap

from edgeonnx.optimize.plan import Pass, Plan, Wish, name_of, plan_for

_BEGIN, _END = "<!-- passes: generated -->", "<!-- passes: end -->"


def generated(text: str) -> str:
    """The document with its generated part made anew from the passes.

    Raises:
        ValueError: the pair of markers is missing.
    """
    before, found, rest = text.partition(_BEGIN)
    _, closed, after = rest.partition(_END)
    if not found or not closed:
        raise ValueError(f"expected {_BEGIN} and {_END} in the document, got neither or one; put them back")
    return f"{before}{_BEGIN}\n{_passes()}\n{_END}{after}"


def _passes() -> str:
    # With all that can be wished, so that no pass is left out.
    plan: Plan = plan_for(Wish(half=True, offline="x86"))
    parts = (
        ("Once, first", plan.first),
        ("In turn, until none finds anything to do", plan.together),
        ("Last", (*plan.last, *plan.extra)),
    )
    return "\n\n".join(f"### {title}\n\n" + "\n\n".join(map(_one, passes)) for title, passes in parts)


def _one(step: Pass) -> str:
    function = getattr(step, "func", step)
    said = inspect.getdoc(sys.modules[function.__module__]) or ""
    first, _, rest = said.partition("\n")
    return f"**{name_of(step)}**: {first}\n\n```text\n{textwrap.dedent(rest).strip()}\n```"
