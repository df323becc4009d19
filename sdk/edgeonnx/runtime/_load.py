"""Opens a bundle: the variant that fits this machine, its sessions, the model around them."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from ._bundle import open_bundle
from ._errors import BundleError, DeviceError, InputError, first_line
from ._manifest import MEMORY
from ._model import Model
from ._placement import difference
from ._session import create_session
from ._variants import agrees, cpu_features, describe, unmet

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Optional

    import onnxruntime as ort

    from ._bundle import Bundle
    from ._manifest import Variant
    from ._tuned import Setup

    Start = Callable[[Variant, Optional[Setup]], list[ort.InferenceSession]]
    Started = tuple[Variant, list[ort.InferenceSession]]


def load(
    path: str | os.PathLike[str],
    *,
    verify: bool = True,
    threads: int | None = None,
    sessions: int | None = None,
    variant: str | None = None,
    public_key: str | os.PathLike[str] | None = None,
    memory: str | None = None,
    check_values: bool = True,
    watch: bool = True,
    tuned: bool | str | os.PathLike[str] = True,
) -> Model:
    """Open a bundle and make its sessions.

    Of several variants the first is taken whose CPU features are there and which gives its first golden outputs; where
    one that should have done is passed over, a warning says so, and the model's `notices`.

    Where `tune` has found better settings for this bundle, machine and onnxruntime, they are used in place of the
    manifest's; `notices` says so, and also where such a profile is there and does not hold.

    Args:
        path: the `.edge` file.
        verify: check the SHA-256 of what is loaded; False leaves that out.
        threads: in place of the manifest's intra_op_threads; 0 leaves the number to onnxruntime. Never more are taken
            than the CPUs this process may use.
        sessions: how many to make, for as many runs at a time; they divide the threads. None: 1, or as `tune` found.
        variant: the name of the one to take, whatever the CPU has.
        public_key: a PEM file; the bundle must be signed by its owner.
        memory: `fast` or `small`, in place of the manifest's. Small saves memory at the cost of speed.
        check_values: refuse NaN and infinity in inputs.
        watch: compare inputs with those of calibration, see `Model.health`; it takes 1 % of the time at most.
        tuned: False: ignore a measured profile; a path: where it is, if not NAME.edge.tuned. With `memory`, or a
            `variant` that is not the profile's, it is ignored too.

    Raises:
        BundleError: the file is not a bundle, damaged, altered, not signed, or of another schema.
        DeviceError: this machine lacks the onnxruntime release, a provider or the CPU features that are asked for.
        InputError: an argument that is not one of those above.
    """
    start = time.perf_counter()
    if memory not in (None, *MEMORY):
        raise InputError(f"memory: expected one of {', '.join(MEMORY)}, got {memory!r}")
    if sessions is not None and sessions < 1:
        raise InputError(f"sessions: expected 1 or more, got {sessions}")
    if public_key is not None:
        from ._signature import check_signature

        check_signature(path, public_key)
    bundle = open_bundle(path, verify=False)
    if verify:
        bundle.verify(_common_files(bundle))
    notices = _about_libraries(bundle, signed=public_key is not None)

    def start_sessions(chosen: Variant, setup: Setup | None = None) -> list[ort.InferenceSession]:
        if verify:
            bundle.verify((chosen.file, *chosen.weights))
        count = sessions or (setup.sessions if setup else 1)
        own = setup.threads if setup and threads is None else threads
        return [create_session(bundle, chosen, own, count, memory, setup) for _ in range(count)]

    found: Started | None = None
    if tuned is not False and memory is None:
        found, said = _as_tuned(bundle, None if tuned is True else tuned, variant, start_sessions)
        notices = (*notices, *said)
    if found is not None:
        chosen, made = found
    elif variant is not None:
        chosen = _named(bundle, variant)
        made = start_sessions(chosen)
    else:
        chosen, made, passed = _choose(bundle, start_sessions)
        notices = (*notices, *passed)
    notices = (*notices, *difference(made[0], chosen))
    return Model(bundle, chosen, made, notices, start, check_values=check_values, watch=watch)


def _common_files(bundle: Bundle) -> list[str]:
    """The files that belong to no variant in particular."""
    own = {name for variant in bundle.manifest.variants for name in (variant.file, *variant.weights)}
    return [name for name in bundle.manifest.files if name not in own]


def _about_libraries(bundle: Bundle, signed: bool) -> tuple[str, ...]:
    """What a person should know of libraries in the bundle. Raises DeviceError when none is for this platform."""
    if bundle.manifest.custom_ops is None:
        return ()
    from ._custom_ops import described

    return described(bundle, signed)


def _named(bundle: Bundle, name: str) -> Variant:
    for variant in bundle.manifest.variants:
        if variant.name == name:
            return variant
    names = ", ".join(variant.name for variant in bundle.manifest.variants)
    raise InputError(f"variant: expected one of {names}, got {name!r}")


def _as_tuned(
    bundle: Bundle, path: str | os.PathLike[str] | None, variant: str | None, start: Start
) -> tuple[Started | None, tuple[str, ...]]:
    """The variant and sessions that a measured profile asks for, if there is one and it holds; and what to say of it.

    Args:
        bundle: the bundle.
        path: the profile's; None: beside the bundle.
        variant: the one that was asked for.
        start: makes sessions.

    Raises:
        InputError: `path` is given, and there is no such file.
    """
    file = bundle.path + ".tuned" if path is None else os.fspath(path)
    if not os.path.exists(file):
        if path is not None:
            raise InputError(f"tuned: {file} does not exist; `tune -o FILE` makes one")
        return None, ()
    from ._tuned import read_tuned

    try:
        policy, setup = read_tuned(bundle, file)
        if setup is None or variant not in (None, setup.variant):
            return None, ()
        chosen = _named(bundle, setup.variant)
        made = start(chosen, setup)
        wrong = _golden_difference(bundle, chosen, made[0])
    except (BundleError, DeviceError) as error:
        wrong = first_line(error)
    name = os.path.basename(file)
    if wrong is not None:
        wrong = wrong if wrong.startswith(name) else f"{name}: {wrong}"
        return None, (f"{wrong}; the bundle's own settings are used; run `tune` again",)
    return (chosen, made), (f"{name}: settings measured on this machine for {policy}",)


def _choose(bundle: Bundle, start: Start) -> tuple[Variant, list[ort.InferenceSession], tuple[str, ...]]:
    """The first variant that does here, its sessions, and why those before it failed.

    Raises:
        DeviceError: none does.
        BundleError: a file of a variant was altered.
    """
    variants = bundle.manifest.variants
    # A variant that asks for nothing needs no look at the CPU.
    features = cpu_features() if any(variant.features for variant in variants) else frozenset()
    reasons: dict[str, str] = {}
    notices: list[str] = []
    for variant in variants:
        missing = unmet(variant, features)
        if missing:
            has = ", ".join(sorted(features)) or "none of those known"
            reasons[variant.name] = f"needs a CPU with {', '.join(missing)}, this one has {has}"
            continue
        try:
            made = start(variant, None)
            wrong = _golden_difference(bundle, variant, made[0]) if len(variants) > 1 else None
        except DeviceError as error:
            if len(variants) == 1:
                raise
            wrong = first_line(error)
        if wrong is None:
            _warn(bundle, variant, notices)
            return variant, made, tuple(notices)
        reasons[variant.name] = wrong
        notices.append(f"{variant.name}: {wrong}")
    raise DeviceError(f"{bundle.name}: no variant runs here: {describe(reasons)}; package one for this device")


def _golden_difference(bundle: Bundle, variant: Variant, session: ort.InferenceSession) -> str | None:
    """How the first golden sample differs, if there is one and it does."""
    from ._inputs import parse_npy

    manifest = bundle.manifest
    if not manifest.golden.samples:
        return None
    names = [f"golden/0/input{i}.npy" for i in range(len(manifest.inputs))]
    feeds = {spec.name: parse_npy(bundle.read(name), name) for spec, name in zip(manifest.inputs, names)}
    try:
        outputs = session.run([spec.name for spec in manifest.outputs], feeds)
    except Exception as error:  # onnxruntime's own exceptions share no base class
        return f"the first golden sample does not run: {first_line(error)}"
    for i, (spec, output) in enumerate(zip(manifest.outputs, outputs)):
        name = f"golden/0/{variant.name}/output{i}.npy"
        if not agrees(output, parse_npy(bundle.read(name), name), variant.tolerance[spec.name]):
            return f"{spec.name} differs from the first golden sample's"
    return None


def _warn(bundle: Bundle, chosen: Variant, notices: list[str]) -> None:
    if notices:
        import warnings

        text = f"{bundle.name}: {'; '.join(notices)}; {chosen.name} runs in its place"
        warnings.warn(text, RuntimeWarning, stacklevel=4)
