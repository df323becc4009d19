"""How much may stand in one place."""

import ast
from collections.abc import Callable

from tests.house.tree import PACKAGE, modules, tree

MODULE_LINES = 320
BODY_LINES = 40
NUMBERS = 40


def test_a_module_is_one_thing():
    """What grows past this is two things, and a reader should find either by its file's name."""
    lines = {module: len((PACKAGE / module).read_text("utf-8").splitlines()) for module in modules()}
    assert {module: count for module, count in lines.items() if count > MODULE_LINES} == {}


def test_a_function_fits_on_a_screen():
    """Its body, that is: the docstring and the parameters help a reader, the rest has to be held in mind."""
    assert _beyond(BODY_LINES, (ast.FunctionDef, ast.AsyncFunctionDef), _body_lines) == {}


def test_tables_of_numbers_are_data():
    """Numbers come from somewhere: in a data file each can stand with its source, and be corrected by who knows it."""
    assert _beyond(NUMBERS, (ast.List, ast.Tuple, ast.Set, ast.Dict), _numbers) == {}


def _beyond(limit: int, kinds: tuple[type[ast.AST], ...], count: Callable[[ast.AST], int]) -> dict[str, int]:
    """`module:line` of every node of these kinds that counts more than `limit`, with its count."""
    nodes = [(module, node) for module in modules() for node in ast.walk(tree(module)) if isinstance(node, kinds)]
    return {f"{module}:{node.lineno}": found for module, node in nodes if (found := count(node)) > limit}


def _body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return function.end_lineno - body[0].lineno + 1 if body else 0


def _numbers(literal: ast.AST) -> int:
    constants = [node.value for node in ast.walk(literal) if isinstance(node, ast.Constant)]
    return sum(isinstance(value, (int, float, complex)) and not isinstance(value, bool) for value in constants)
