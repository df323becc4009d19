"""What `tune` tries with a bundle on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._manifest import GRAPH_OPTIMIZATIONS, Provider
from ._variants import unmet

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ._cpus import Cpus
    from ._manifest import Manifest
    from ._tuned import Setup

_CPU = Provider("CPUExecutionProvider")
_OPENVINO = "OpenVINOExecutionProvider"
_DEVICES = ("CPU", "GPU", "NPU")

# Providers that take any ONNX file and run on the machine itself. Others take what was made for them: they are tried
# where the manifest names them.
_GENERAL: Mapping[str, tuple[Mapping[str, str], ...]] = {
    _OPENVINO: tuple({"device_type": device} for device in _DEVICES),
    **{
        f"{name}ExecutionProvider": ({},)
        for name in (
            *("ACL", "ArmNN", "CoreML", "CUDA", "Dml", "Dnnl", "MIGraphX", "Nnapi", "ROCM", "Tensorrt"),
            *("WebGpu", "XNNPACK"),
        )
    },
}
# Those with threads of their own -> the option that sets their number.
_OWN_THREADS = {_OPENVINO: "num_of_threads", "XNNPACKExecutionProvider": "intra_op_num_threads"}


def places(manifest: Manifest, available: Sequence[str], features: frozenset[str], default: Setup) -> Iterator[Setup]:
    """Every variant on every provider.

    Args:
        manifest: the bundle's.
        available: the providers of this machine's onnxruntime.
        features: what its CPU has.
        default: what the bundle does without a profile; it comes first.
    """
    general = [(Provider(name, options), _CPU) for name in available for options in _GENERAL.get(name, ())]
    yield default
    for variant in manifest.variants:
        if unmet(variant, features):
            continue
        # A variant with providers of its own was made for them.
        own = variant.providers or manifest.session.providers
        yield default._replace(variant=variant.name, providers=own)
        for providers in () if variant.providers else (*general, (_CPU,)):
            if providers[0] != own[0]:
                yield default._replace(variant=variant.name, providers=providers)


def divisions(setup: Setup, cpus: Cpus, policy: str) -> Iterator[Setup]:
    """Threads, sessions and spinning for a place.

    Args:
        setup: the place.
        cpus: what this process may use.
        policy: sessions side by side are of use to throughput alone.
    """
    first = setup.providers[0]
    if first.name not in (_CPU.name, *_OWN_THREADS) or first.options.get("device_type", "CPU") != "CPU":
        return
    counts = thread_counts(cpus)
    for threads in counts:
        if first.name in _OWN_THREADS:
            yield _with_own_threads(setup, threads, 1)
        elif threads == 1:
            yield setup._replace(threads=1)
        else:
            for spinning in (True, False):
                yield setup._replace(threads=threads, spinning=spinning)
    for sessions in counts[1:] if policy == "throughput" else ():
        if first.name in _OWN_THREADS:
            yield _with_own_threads(setup, cpus.limit, sessions)
        else:
            yield setup._replace(threads=cpus.limit, sessions=sessions)


def details(setup: Setup, manifest: Manifest) -> Iterator[Setup]:
    """What is left: how far onnxruntime optimizes the graph, and how it takes memory."""
    (usual,) = {each.graph_optimization for each in manifest.variants if each.name == setup.variant}
    for level in GRAPH_OPTIMIZATIONS:
        if level != usual:
            yield setup._replace(graph_optimization=level)
    yield setup._replace(arena=False)
    if manifest.session.memory == "fast":  # without it otherwise
        yield setup._replace(pattern=False)
        yield setup._replace(arena=False, pattern=False)


def thread_counts(cpus: Cpus) -> list[int]:
    """Numbers of threads worth a try: powers of two, one for each big core, all but one of those, all there are."""
    cores = min(len(cpus.cores), cpus.limit)
    powers = {1 << i for i in range(cores.bit_length())}
    return sorted(n for n in powers | {cores, cores - 1, cpus.limit} if 1 <= n <= cpus.limit)


def is_choice(provider: Provider, manifest: Manifest) -> bool:
    """Whether this is a provider with options that `tune` may try."""
    named = [*manifest.session.providers, *(each for variant in manifest.variants for each in variant.providers)]
    if provider in named or provider == _CPU:
        return True
    own_threads = _OWN_THREADS.get(provider.name)
    rest = {key: value for key, value in provider.options.items() if key != own_threads}
    threads = provider.options.get(own_threads or "", "1")
    # Beside the manifest's options, too, where it names this provider.
    bases = [each.options for each in named if each.name == provider.name]
    return threads.isdecimal() and rest in [*bases, *_GENERAL.get(provider.name, ())]


def describe(setup: Setup, default: Setup) -> str:
    """A setup in words: where it runs, and what differs from the default there."""
    first = setup.providers[0]
    options = {key: value for key, value in first.options.items() if key not in _OWN_THREADS.values()}
    words = [first.name.replace("ExecutionProvider", "") + (f" {' '.join(options.values())}" if options else "")]
    if setup.variant != default.variant:
        words.insert(0, setup.variant)
    threads = setup.threads
    own = first.options.get(_OWN_THREADS.get(first.name, ""))
    if own is not None:
        threads = int(own) * setup.sessions
    if threads is not None:
        words.append(f"{threads} thread{'' if threads == 1 else 's'}")
    if setup.sessions > 1:
        words.append(f"{setup.sessions} sessions")
    if setup.spinning is not None:
        words.append("spinning" if setup.spinning else "not spinning")
    if setup.graph_optimization is not None:
        words.append(f"graph {setup.graph_optimization}")
    off = [word for word, on in (("arena", setup.arena), ("memory pattern", setup.pattern)) if not on]
    return ", ".join([*words, *(f"no {word}" for word in off)])


def _with_own_threads(setup: Setup, threads: int, sessions: int) -> Setup:
    """Threads for a provider that has its own; onnxruntime's are left one, so that they do not get in the way."""
    first, *rest = setup.providers
    each = str(max(1, threads // sessions))
    first = Provider(first.name, {**first.options, _OWN_THREADS[first.name]: each})
    return setup._replace(providers=(first, *rest), threads=sessions, sessions=sessions, spinning=False)
