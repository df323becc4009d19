"""Who may import whom."""

import ast
import sys

from tests.house.tree import PACKAGE, imports, modules, room, rooms_imported

# What all may use: these know nothing of any stage.
LEAVES = {
    *("anatomy", "baseline", "data", "dims", "errors", "explain", "extensions", "external", "files", "graph"),
    *("libraries", "model", "names", "quiet", "ranges", "runtime", "schema", "userfile", "versions", "weights"),
}
# Where stages meet, and what stands above that.
ABOVE = {"verbs", "cli", "__init__", "__main__"}
STAGES = {room(module) for module in modules()} - LEAVES - ABOVE


def test_a_module_at_the_top_is_a_leaf():
    """A stage is a folder. A new module beside them is to be named above, so that somebody decides what it is."""
    assert {name for name in STAGES if not (PACKAGE / name).is_dir()} == set()
    assert (LEAVES | ABOVE) - {room(module) for module in modules()} == set()


def test_the_runtime_needs_numpy_and_onnxruntime_alone():
    """A device has nothing else; and the same files are a distribution of their own, under another name."""
    allowed = {"numpy", "onnxruntime"} | sys.stdlib_module_names
    # Inside a function, for bundles that need it.
    asked_for = ("runtime/_extensions.py", "onnxruntime_extensions.get_library_path")
    inside = [module for module in modules() if room(module) == "runtime"]
    foreign = [
        (module, name)
        for module in inside
        for name, dots in imports(module)
        if dots > 1 or (dots == 0 and name.partition(".")[0] not in allowed and (module, name) != asked_for)
    ]
    assert inside
    assert foreign == []


def test_the_runtime_is_written_for_older_pythons():
    """Its own distribution promises Python 3.9, which boards come with; the SDK asks for 3.11."""
    for module in (module for module in modules() if room(module) == "runtime"):
        ast.parse((PACKAGE / module).read_text("utf-8"), module, feature_version=(3, 9))


def test_nobody_imports_the_command_line():
    """It draws and translates; what decides must be usable from Python without it."""
    assert {room(module) for module in modules() if "cli" in rooms_imported(module)} == {"cli", "__main__"}


def test_stages_do_not_import_each_other():
    """Each can be used, tested and replaced alone; they meet in verbs/, the one place that composes them."""
    sideways = {
        module: found
        for module in modules()
        if room(module) in STAGES and (found := rooms_imported(module) - LEAVES - {room(module)})
    }
    assert sideways == {}


def test_leaves_import_leaves_alone():
    """A leaf that knew a stage would tie every other stage to it."""
    tied = {
        module: found for module in modules() if room(module) in LEAVES and (found := rooms_imported(module) - LEAVES)
    }
    assert tied == {}


def test_nobody_imports_the_package_itself():
    """`import edgeonnx` from inside it imports everything, and closes a circle."""
    assert [module for module in modules() if "" in rooms_imported(module)] == []
