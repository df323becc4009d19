"""The measured profile NAME.edge.tuned: how a bundle's sessions are best made on this machine, as `tune` found it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, NamedTuple

import onnxruntime as ort

from ._choices import is_choice
from ._cpus import SPINNING, find_cpus
from ._errors import BundleError, InputError
from ._fields import Fields
from ._manifest import GRAPH_OPTIMIZATIONS, Provider

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._bundle import Bundle
    from ._manifest import SessionSettings, Variant

SUFFIX = ".tuned"
POLICIES = ("latency", "throughput", "battery")
_SCHEMA = 1
_LARGEST = 1 << 18


class Setup(NamedTuple):
    """How sessions are made, in place of what the manifest says.

    Attributes:
        variant: name of the bundle's.
        providers: in order of preference.
        threads: of all sessions together, see `plan_threads`; None: the manifest's.
        sessions: how many run side by side.
        spinning: whether a thread that waits for work keeps its CPU busy; None: the manifest's.
        arena: whether a run's memory is kept for the next.
        pattern: whether memory is taken in one piece, as earlier runs needed it.
        graph_optimization: one of `GRAPH_OPTIMIZATIONS`; None: the variant's.
    """

    variant: str
    providers: tuple[Provider, ...]
    threads: int | None = None
    sessions: int = 1
    spinning: bool | None = None
    arena: bool = True
    pattern: bool = True
    graph_optimization: str | None = None

    def replaced(self, settings: SessionSettings, variant: Variant) -> tuple[SessionSettings, Variant]:
        """The manifest's settings and a variant of it, with this in their place."""
        config = dict(settings.config)
        if self.spinning is not None:
            config[SPINNING] = str(int(self.spinning))
        level = self.graph_optimization or variant.graph_optimization
        settings = settings._replace(config=config)
        return settings, variant._replace(graph_optimization=level, providers=self.providers)

    def set_memory(self, options: ort.SessionOptions) -> None:
        """Turn off what the manifest's settings have no word for."""
        options.enable_cpu_mem_arena &= self.arena
        options.enable_mem_pattern &= self.pattern

    def to_dict(self) -> dict[str, Any]:
        """What `parse_setup` reads."""
        providers = [{"name": each.name, "options": dict(each.options)} for each in self.providers]
        return {**self._asdict(), "providers": providers}


class Tuned(NamedTuple):
    """What a profile says.

    Attributes:
        policy: what was measured, one of `POLICIES`.
        setup: the winner; None where nothing was better than what the bundle says.
    """

    policy: str
    setup: Setup | None


def fingerprint(bundle: Bundle) -> dict[str, Any]:
    """What a profile holds for: this bundle, this machine's CPUs as this process may use them, and this onnxruntime."""
    import hashlib
    import platform

    cpus = find_cpus()
    return {
        # The manifest has the hash of every other entry.
        "bundle": hashlib.sha256(bundle.read("manifest.json")).hexdigest(),
        "machine": {
            "architecture": platform.machine(),
            "cpu": cpu_name() or platform.processor(),
            "cpus": len(cpus.usable),
            "big": len(cpus.big),
            "limit": cpus.limit,
        },
        "onnxruntime": {"version": ort.__version__, "providers": list(ort.get_available_providers())},
    }


def cpu_name(root: str = "/") -> str:
    """The CPU's model as Linux tells it, or the board's; empty where it does not.

    Args:
        root: where `proc` is.
    """
    found: dict[str, set[str]] = {}
    for line in _text(os.path.join(root, "proc/cpuinfo")).splitlines():
        key, _, value = line.partition(":")
        found.setdefault(key.strip(), set()).add(value.strip())
    board = _text(os.path.join(root, "proc/device-tree/model")).rstrip("\0")
    parts = sorted(found.get("CPU part", ()))  # Arm: a number for each kind of core
    names = [*sorted(found.get("model name", ())), board, *(f"part {part}" for part in parts)]
    return ", ".join(name for name in names if name)


def write_tuned(path: str, bundle: Bundle, tuned: Tuned, figures: Mapping[str, Any]) -> None:
    """Write a profile, whole or not at all.

    Args:
        path: where to.
        bundle: the one that was measured.
        tuned: what was found.
        figures: what was measured, for people.

    Raises:
        InputError: it can't be written.
    """
    setup = None if tuned.setup is None else tuned.setup.to_dict()
    content = {"schema": _SCHEMA, **fingerprint(bundle), "policy": tuned.policy, "setup": setup, "figures": figures}
    text = json.dumps(content, sort_keys=True, indent=2, ensure_ascii=False) + "\n"
    temporary = _temporary(path)
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)


def check_writable(path: str) -> None:
    """See that a profile can be written, before time is spent on it. Raises InputError as `write_tuned`."""
    temporary = _temporary(path)
    try:
        if os.path.isdir(path):
            raise IsADirectoryError(0, "Is a directory")
        with open(temporary, "wb"):
            os.remove(temporary)
    except OSError as error:
        raise _unwritable(path, error) from error


def read_tuned(bundle: Bundle, path: str) -> Tuned:
    """Read a profile.

    Raises:
        BundleError: it is none, or was made for another bundle, machine or onnxruntime.
    """
    name = os.path.basename(path)
    try:
        with open(path, encoding="utf-8") as file:
            value = json.loads(file.read(_LARGEST))
    except OSError as error:
        raise BundleError(f"{name} can't be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{name} is not a measured profile: {error}") from error
    fields = Fields(value, file=name)
    schema = fields.integer("schema")
    if schema != _SCHEMA:
        raise BundleError(f"{name} is of schema {schema}, this runtime knows {_SCHEMA}")
    for what, own in fingerprint(bundle).items():
        if value.get(what) != own:
            raise BundleError(f"{name} was measured with another {what}")
    setup = parse_setup(fields.child("setup"), bundle) if fields.has("setup") else None
    return Tuned(fields.text("policy", POLICIES), setup)


def parse_setup(fields: Fields, bundle: Bundle) -> Setup:
    """A setup from its JSON object.

    A profile is not signed: it chooses among what `tune` may try with this bundle, and brings nothing of its own.

    Raises:
        BundleError: a field is missing, of the wrong type, or says what `tune` never would.
    """
    providers = tuple(Provider(each.text("name"), each.texts("options")) for each in fields.children("providers"))
    wrong = [each.name for each in providers if not is_choice(each, bundle.manifest)]
    if wrong or not providers:
        raise fields.error("providers", "those that tune may try, with its options", wrong)
    return Setup(
        variant=fields.text("variant", tuple(variant.name for variant in bundle.manifest.variants)),
        providers=providers,
        threads=fields.integer("threads") if fields.has("threads") else None,
        sessions=fields.integer("sessions", minimum=1),
        spinning=fields.flag("spinning") if fields.has("spinning") else None,
        arena=fields.flag("arena"),
        pattern=fields.flag("pattern"),
        graph_optimization=fields.text("graph_optimization", GRAPH_OPTIMIZATIONS)
        if fields.has("graph_optimization")
        else None,
    )


def _temporary(path: str) -> str:
    folder, name = os.path.split(path)
    return os.path.join(folder, f".{name}.{os.getpid()}.partial")


def _unwritable(path: str, error: OSError) -> InputError:
    return InputError(
        f"{path} can't be written: {error.strerror or error}; write elsewhere with -o FILE, and load with tuned=FILE"
    )


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
