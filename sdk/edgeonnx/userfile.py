"""Functions of the user's own, named as `FILE.py:FUNC` or handed over in Python: loaded, called, their errors told.

Data and metrics both come this way, so both say the same thing when the user's code fails: which file, which
line, which function, which exception.
"""

import hashlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from edgeonnx.data import near
from edgeonnx.errors import EdgeonnxError

_PRIVATE = "_edgeonnx_user_"
_SIBLINGS: dict[Path, dict[str, ModuleType]] = {}
_REFERENCE = re.compile(r"(?P<path>.+\.py):(?P<name>[^:/\\]*)")


def is_reference(text: str) -> bool:
    """Whether `text` is meant as `FILE.py:FUNC`: a Python file, with a function or with it forgotten."""
    return text.endswith(".py") or _REFERENCE.fullmatch(text) is not None


@dataclass(frozen=True)
class UserFunction:
    """A function that edgeonnx did not write, which may raise anything.

    Attributes:
        function: what to call.
        label: how messages call it: `metric.py: score()`.
        path: the file it was written in; None if it has none (a builtin, an interactive session).
        error: what to raise when it fails.
        folder: what it may import from while it runs, beyond the usual; None: nothing.
    """

    function: Callable[..., Any]
    label: str
    path: Path | None
    error: type[EdgeonnxError]
    folder: Path | None = None

    def __call__(self, *arguments: object) -> Any:
        """What the function returns.

        Raises:
            EdgeonnxError: `self.error`, if it raised.
        """
        with self._guarded():
            return self.function(*arguments)

    def iterate(self) -> Iterator[Any]:
        """Call the function without arguments and hand on what it yields, or the items of what it returns.

        Raises:
            EdgeonnxError: `self.error`, if it raised, at the call or at any item, or returned nothing to iterate.
        """
        with self._guarded():
            result = self.function()
        if isinstance(result, Mapping) or not (hasattr(result, "__iter__") or hasattr(result, "__getitem__")):
            kind = type(result).__name__
            raise self.error(f"{self.label} returned {kind}, expected an iterator; yield one dict per sample")
        with self._guarded():
            items = iter(result)
        try:
            while True:
                with self._guarded():
                    try:
                        item = next(items)
                    except StopIteration:
                        return
                yield item
        finally:
            if hasattr(items, "close"):
                with self._guarded():
                    items.close()

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        with _importable(self.folder):
            try:
                yield
            except (Exception, SystemExit) as error:
                line = _line(error.__traceback__, self.path)
                place = f"{self.label}, line {line}," if line else self.label
                raise self.error(f"{place} raised {told(error)}") from error


def load_function(reference: str, error: type[EdgeonnxError]) -> UserFunction:
    """Import `FILE.py` under a private name and take its function `FUNC`.

    The file's folder can be imported from while the file is imported and while the function runs, and no longer.

    Args:
        reference: `FILE.py:FUNC`.
        error: what to raise, here and when the function is called.

    Raises:
        EdgeonnxError: `error`, if there is no such file or function, or importing the file raised.
    """
    match = _REFERENCE.fullmatch(reference)
    if match is None or not match["name"]:
        example = f"{reference.rstrip(':')}:main"
        raise error(f"{reference}: expected FILE.py:FUNC; name the function too, as in {example}")
    path, name = Path(match["path"]), match["name"]
    if not path.is_file():
        raise error(f"{path} does not exist; {reference} should name a Python file and a function in it")
    module = _import(path, error)
    function = getattr(module, name, None)
    if not callable(function):
        known = [key for key, value in vars(module).items() if _own_function(value, module)]
        what = "is not a function" if hasattr(module, name) else "does not exist"
        raise error(f"{path}: {name} {what}. {near(name, known) if known else 'The file has no functions'}")
    return UserFunction(function, f"{path}: {name}()", path, error, path.resolve().parent)


def own_function(function: Callable[..., Any], error: type[EdgeonnxError]) -> UserFunction:
    """A function handed over in Python, told of as one from a file is."""
    try:
        source = inspect.getsourcefile(inspect.unwrap(function))
    except TypeError:  # builtins, partials and objects with __call__ have none
        source = None
    name = getattr(function, "__qualname__", type(function).__qualname__)
    label = f"{source}: {name}()" if source else f"{name}()"
    return UserFunction(function, label, Path(source) if source else None, error)


def told(error: BaseException) -> str:
    """An exception on one line: its type, and its message with line breaks taken out."""
    message = " ".join(str(error).split())
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def _import(path: Path, error: type[EdgeonnxError]) -> ModuleType:
    digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]
    name = f"{_PRIVATE}{digest}"
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    if spec is None or spec.loader is None:
        raise error(f"{path} can't be imported as Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look a class's module up there
    with _importable(path.resolve().parent):
        try:
            spec.loader.exec_module(module)
        except (Exception, SystemExit) as cause:
            del sys.modules[name]
            line = cause.lineno if isinstance(cause, SyntaxError) else _line(cause.__traceback__, path)
            place = f"{path}, line {line}," if line else str(path)
            raise error(f"{place} raised {told(cause)} when it was imported") from cause
    return module


@contextmanager
def _importable(folder: Path | None) -> Iterator[None]:
    """Let modules of `folder` be imported, and take them out of `sys.modules` again afterwards.

    Two of the user's files may each have a `helper.py` beside them; left there, the first would serve for both.
    They are kept per folder, so that a module is run once and its state lasts from call to call.
    """
    if folder is None:
        yield
        return
    siblings = _SIBLINGS.setdefault(folder, {})
    replaced = {name: sys.modules[name] for name in siblings if name in sys.modules}
    sys.modules.update(siblings)
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        if str(folder) in sys.path:
            sys.path.remove(str(folder))
        added = {name: sys.modules[name] for name in set(sys.modules) - before}
        siblings.update({name: module for name, module in added.items() if _lives_in(folder, name)})
        for name in siblings:
            sys.modules.pop(name, None)
        sys.modules.update(replaced)


def _lives_in(folder: Path, name: str) -> bool:
    """Whether a module, or the package it is part of, lies in the folder itself and not somewhere below it."""
    file = getattr(sys.modules.get(name.partition(".")[0]), "__file__", None)
    if name.startswith(_PRIVATE) or file is None:
        return False
    path = Path(file).resolve()
    return path.parent == folder or (path.name == "__init__.py" and path.parent.parent == folder)


def _line(trace: TracebackType | None, path: Path | None) -> int | None:
    """Line of the innermost frame in the user's file: deeper ones are of libraries that the user did not write."""
    line = None
    while trace is not None and path is not None:
        if Path(trace.tb_frame.f_code.co_filename).resolve() == path.resolve():
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _own_function(value: object, module: ModuleType) -> bool:
    return inspect.isfunction(value) and value.__module__ == module.__name__
