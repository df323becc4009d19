"""Whether a node means the same by an older definition of its operator: asked of ONNX's own schemas."""

import onnx
import onnx_ir as ir

_Schema = onnx.defs.OpSchema


class NoForm(Exception):  # noqa: N818 (it is no error of a user's: who catches it says more)
    """A node can't be said in an older operator set; the message says why, without naming the node."""


def schema_of(operator: str, opset: int) -> _Schema | None:
    """The definition of an operator that holds in an operator set; None if there is none."""
    try:
        return onnx.defs.get_schema(operator, opset, "")
    except onnx.defs.SchemaError:
        return None


def fit(node: ir.Node, newer: _Schema, older: _Schema | None) -> None:
    """Make a node one of the older definition, in place.

    Attributes that the older one lacks may go where they have their default; a default that is another is written out.

    Raises:
        NoForm: it uses what the older definition lacks.
    """
    if older is None:
        raise NoForm("there is no such operator there")
    if older.deprecated:
        raise NoForm("it means something else there")
    _fit_attributes(node, newer, older)
    given = [value is not None for value in node.inputs]
    used = max((index + 1 for index, there in enumerate(given) if there), default=0)
    if not older.min_input <= used <= older.max_input:
        raise NoForm(f"there it takes {_count(older.min_input, older.max_input)} inputs, here it has {used}")
    node.resize_inputs(used)
    if len([value for value in node.outputs if value.name]) > older.max_output:
        raise NoForm(f"there it has at most {older.max_output} outputs")
    for values, formal, what in ((node.inputs, older.inputs, "takes"), (node.outputs, older.outputs, "makes")):
        for index, value in enumerate(values):
            kind = type_name(value.type) if value is not None else None
            if kind and kind not in formal[min(index, len(formal) - 1)].types:
                raise NoForm(f"there it {what} no {kind}")


def _fit_attributes(node: ir.Node, newer: _Schema, older: _Schema) -> None:
    for name, attribute in list(node.attributes.items()):
        if name in older.attributes or attribute.is_ref():
            continue
        if name not in newer.attributes or attribute.value != default_of(newer, name):
            raise NoForm(f"there it has no attribute {name}, here {name} = {attribute.value}")
        del node.attributes[name]
    for name in (name for name in older.attributes if name in newer.attributes and name not in node.attributes):
        if (wanted := default_of(newer, name)) != default_of(older, name):
            if wanted is None:
                raise NoForm(f"left out, its attribute {name} means something else there")
            node.attributes[name] = ir.serde.deserialize_attribute(newer.attributes[name].default_value)


def default_of(schema: _Schema, name: str) -> object:
    """Value of an attribute that is left out; None if it has none."""
    proto = schema.attributes[name].default_value
    return ir.serde.deserialize_attribute(proto).value if proto.name else None


def type_name(kind: ir.TypeProtocol | None) -> str | None:
    """A type as schemas write it: `tensor(float)`; None where it is not known."""
    if kind is None or kind.dtype == ir.DataType.UNDEFINED:
        return None
    if isinstance(kind, (ir.SequenceType, ir.OptionalType)):
        inner = type_name(kind.elem_type)
        return inner and f"{'seq' if isinstance(kind, ir.SequenceType) else 'optional'}({inner})"
    return f"tensor({kind.dtype.name.lower()})"


def _count(least: int, most: int) -> str:
    return str(least) if least == most else f"{least} to {most}"
