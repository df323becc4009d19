"""The repository as the tests of the house see it: its files, its modules and what they import."""

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "sdk" / "edgeonnx"
# Where there is no git to ask: what git would leave out.
_PRODUCED = {"build", "dist", "__pycache__"}


def files() -> list[str]:
    """Every file of the project, relative to its root: in git, or new and not ignored by it."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    if (ROOT / ".git").exists():
        listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout.decode()
        found = [name for name in listed.split("\0") if name]
    else:
        found = [path.relative_to(ROOT).as_posix() for path in _walk(ROOT)]
    return sorted(name for name in found if (ROOT / name).is_file())


def modules() -> list[str]:
    """Every module of the package, relative to it: `cli/run.py`."""
    return sorted(path.relative_to(PACKAGE).as_posix() for path in _walk(PACKAGE) if path.suffix == ".py")


def tree(module: str) -> ast.Module:
    """A module's syntax tree."""
    return ast.parse((PACKAGE / module).read_text("utf-8"), module)


def room(module: str) -> str:
    """The folder or the single module at the top of the package that a module belongs to: `cli`, `errors`."""
    return module.partition("/")[0].removesuffix(".py")


def rooms_imported(module: str) -> set[str]:
    """The rooms of the package that a module imports, wherever in it; `""` stands for the package itself."""
    dotted = {name for name, level in imports(module) if level == 0}
    parts = [name.split(".") for name in dotted]
    return {part[1] if len(part) > 1 else "" for part in parts if part[0] == "edgeonnx"}


def imports(module: str) -> Iterator[tuple[str, int]]:
    """Every name that a module imports from, with the number of leading dots; `from a import b` counts as `a.b`."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, 0) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((".".join(filter(None, (node.module, alias.name))), node.level) for alias in node.names)


def _walk(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name.startswith(".") or path.name in _PRODUCED or path.name.endswith(".egg-info"):
            continue
        if path.is_dir():
            yield from _walk(path)
        else:
            yield path
