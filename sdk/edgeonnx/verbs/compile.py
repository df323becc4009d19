"""What `edgeonnx package` compiles ahead of time: the model for a chip, before its pipeline is joined to it."""

import tempfile
from contextlib import closing
from pathlib import Path

import onnx_ir as ir

from edgeonnx.errors import ModelError, TargetError
from edgeonnx.libraries import needs_extensions
from edgeonnx.model import Model
from edgeonnx.optimize.opset import raise_opset
from edgeonnx.pipeline.graph import join, needed_opset
from edgeonnx.pipeline.spec import PipelineSpec
from edgeonnx.providers import ProcessRunner, Setting, interpreter, short_name, variable
from edgeonnx.providers.qnn import compiled_for, complaint
from edgeonnx.runtime._manifest import Provider
from edgeonnx.targets import Target
from edgeonnx.targets.profile import Compilation
from edgeonnx.verbs.proof import golden_there
from edgeonnx.verbs.variants import Form, Shipped
from edgeonnx.versions import numbers

_NO_FALLBACK = {"session.disable_cpu_ep_fallback": "1"}


def compile_form(
    form: Form, spec: PipelineSpec | None, profile: Target, cpu: Shipped, python: Path | None = None
) -> tuple[Shipped | None, str]:
    """A form compiled for the target's chip, with its pipeline around it, as a variant of its own.

    Every node of the model proper is compiled: onnxruntime is told to refuse what it would leave to the CPU. The
    pipeline's nodes, which take inputs of any size, run on the CPU.

    Args:
        form: of a batch of one.
        spec: its pipeline.
        profile: the target.
        cpu: the form as it runs on the CPU, with its golden outputs.
        python: an interpreter that has the target's provider; None: look for one.

    Returns:
        The variant, None where the target is not compiled for, or no interpreter has the provider; and what the user
        should know.

    Raises:
        TargetError: a node is left to the CPU, another chip was compiled for, or the outputs are not the CPU's.
    """
    wanted, provider = profile.compilation, profile.providers[0]
    if wanted is None:
        return None, ""
    python = python or interpreter(provider.name)
    if python is None:
        return None, (
            f"nothing was compiled for {wanted.chip}, the model will run on the CPU: no interpreter here has "
            f"{provider.name}; run make {short_name(provider.name)}, or name one with --provider-python or in "
            f"{variable(provider.name)}"
        )
    core = form.core if spec is None else raise_opset(form.core, needed_opset(form.core, spec))
    joined = _joined(_compiled(core, python, profile, wanted), spec)
    joined.ir.ir_version = form.joined.ir_version
    config = {} if spec else _NO_FALLBACK
    setting = Setting(provider.name, provider.options, config=config, extensions=needs_extensions(joined.ir))
    with closing(ProcessRunner(python, setting)) as runner:
        golden, far = golden_there(joined, cpu.golden, runner, profile.name)
    info = cpu.info._replace(
        minimum=max(cpu.info.minimum, profile.onnxruntime.minimum, key=numbers),
        graph_optimization=profile.session.graph_optimization,
        tolerance=golden.tolerance,
        providers=tuple(Provider(each.name, dict(each.options)) for each in profile.providers),
    )
    others = sum(node.op_type not in ("EPContext", "Constant") for node in joined.ir.graph)
    around = f"; {others} nodes of the pipeline run on the CPU" if others else ""
    note = (
        f"compiled for {wanted.chip}: no node of the model is left to the CPU{around}; outputs {far:.2%} off the CPU's"
    )
    return Shipped(info, joined, golden, ()), note


def _compiled(core: Model, python: Path, profile: Target, wanted: Compilation) -> Model:
    """The model as compiled code in nodes of ONNX."""
    provider = profile.providers[0]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "compiled.onnx"
        config = {"ep.context_enable": "1", "ep.context_embed_mode": "1", "ep.context_file_path": str(path)}
        setting = Setting(provider.name, {**provider.options, **wanted.options}, config=_NO_FALLBACK | config)
        with closing(ProcessRunner(python, setting)) as runner:
            try:
                runner.load(core)
                made = Model.load(path).copy()
            except ModelError as error:
                why = complaint(runner.log()) or error
                raise TargetError(
                    f"{profile.name} can't run the whole model: {why}; quantize it for this target, or take out what "
                    "stays in float"
                ) from error
    try:
        chip = compiled_for(made)
    except ModelError as error:
        raise TargetError(f"{profile.name}: {error}") from error
    if (chip.name, chip.arch) != (wanted.chip, wanted.options.get("htp_arch", chip.arch)):
        raise TargetError(
            f"{profile.name}: expected a model compiled for {wanted.chip}, got one for {chip.name}, HTP {chip.arch}; "
            "correct compilation in the profile"
        )
    return made


def _joined(compiled: Model, spec: PipelineSpec | None) -> Model:
    """The compiled model with its pipeline around it; what passes between them is stated: nothing infers it."""
    joined = (join(compiled, spec) if spec else compiled).copy()
    own = {node.name: (*node.inputs, *node.outputs) for node in compiled.ir.graph}
    for node in joined.ir.graph:
        for value, known in zip((*node.inputs, *node.outputs), own.get(node.name, ()), strict=False):
            if value is not None and known is not None:
                value.type, value.shape = known.type, known.shape and ir.Shape(known.shape)
    for domain in set(joined.ir.opset_imports) - {node.domain for node in joined.ir.graph.all_nodes()} - {""}:
        del joined.ir.opset_imports[domain]  # onnxruntime writes all that it knows
    return joined
