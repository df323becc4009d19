"""How labels pass through Einsum: letter by letter, since a letter is what goes together.

https://onnx.ai/onnx/operators/onnx__Einsum.html
"""

from collections.abc import Sequence

import onnx_ir as ir

from edgeonnx.prune.labels import Array, varying
from edgeonnx.prune.trace import Role, Trace, is_weight, spread

# Stand for the axes of an ellipsis, the last ones for the last axes.
_ELLIPSIS = "0123456789"


def einsum(node: ir.Node, trace: Trace) -> None:
    """Sums of products of tensors and weights. Weights make channels along one letter: the first that is theirs alone.

    So a projection to heads makes heads, whose width stays.
    """
    operands = [value for value in node.inputs if value is not None]
    terms, result = letters(node.attributes.get_string("equation"), [len(trace.shape(value)) for value in operands])
    tensors = [(v, term) for v, term in zip(operands, terms, strict=True) if not is_weight(v)]
    weights = [(v, term) for v, term in zip(operands, terms, strict=True) if is_weight(v)]
    if not tensors or any(len(set(term)) < len(term) for term in terms):
        trace.give_up(node)
        return
    found: dict[str, Array] = {}
    for letter, labels in [_channels(value, term, terms, result, trace) for value, term in tensors]:
        if letter:
            trace.labels.unite(found.setdefault(letter, labels), labels)
    _fix_others(node, tensors, found, result, trace)
    theirs = [letter for letter in result if not any(letter in term for _, term in tensors)]
    sizes = {letter: size for value, term in weights for letter, size in zip(term, trace.shape(value), strict=True)}
    made = next((letter for letter in theirs if sizes[letter] > 1), "") if not set(found) & set(result) else ""
    if made:
        found[made] = trace.labels.fresh(sizes[made])
    for value, term in weights:
        for letter in set(term) & set(found):
            role = Role.MAKES if letter == made else Role.FOLLOWS if letter in result else Role.READS
            trace.bind(value, term.index(letter), found[letter], role, node)
    read = {letter for _, term in weights for letter in term}
    trace.summed += [(found[x], f"{node.name} (Einsum)") for x in found if x not in result and x not in read]
    kept = next((letter for letter in result if letter in found), None)
    if kept is not None:
        trace.put(node.outputs[0], spread(found[kept], len(result), result.index(kept)))


def letters(equation: str, ranks: Sequence[int]) -> tuple[list[str], str]:
    """A letter for each axis of each operand, and of the result."""
    left, arrow, result = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    widest = ""
    for index, rank in enumerate(ranks):
        if "..." in terms[index]:
            axes = rank - len(terms[index]) + len("...")
            own = _ELLIPSIS[len(_ELLIPSIS) - axes :]
            widest = max(widest, own, key=len)
            terms[index] = terms[index].replace("...", own)
    if not arrow:
        named = [letter for letter in left if letter.isalpha()]
        result = "..." + "".join(sorted(letter for letter in named if named.count(letter) == 1))
    return terms, result.replace("...", widest)


def _channels(value: ir.Value, term: str, terms: Sequence[str], result: str, trace: Trace) -> tuple[str, Array]:
    """The letter that a tensor has channels along, and their labels; an empty one if it has none."""
    labels = trace.of(value)
    shared = [axis for axis in varying(labels) if term[axis] in result and sum(term[axis] in t for t in terms) > 1]
    kept = next(iter(shared or varying(labels)), None)
    for axis in varying(labels):
        if axis != kept:
            labels = trace.labels.level(labels, axis)
    return ("", labels) if kept is None else (term[kept], labels.reshape(-1))


def _fix_others(
    node: ir.Node, tensors: Sequence[tuple[ir.Value, str]], found: dict[str, Array], result: str, trace: Trace
) -> None:
    """Fix channels that meet what has none, and those along a second axis of the result."""
    for value, term in tensors:
        own = trace.of(value)
        for letter in set(term) & set(found):
            if own.shape[term.index(letter)] == 1:
                trace.labels.fix(found[letter], f"{node.name} (Einsum) joins it with what no weight makes")
    for letter in [letter for letter in result if letter in found][1:]:
        trace.labels.fix(found[letter], f"{node.name} (Einsum) has channels along two axes")
