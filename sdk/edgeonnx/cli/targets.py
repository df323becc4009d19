"""`edgeonnx targets`."""

from collections import defaultdict
from pathlib import Path

import click

from edgeonnx.cli._draw import as_json, example, facts, print_json, table
from edgeonnx.cli._options import custom_op
from edgeonnx.targets import Target, list_targets, load_target
from edgeonnx.verbs.placement import Fallback, PlacementReport, check_placement

_SHOWN = 12


@click.group("targets", invoke_without_command=True, epilog=example("edgeonnx targets show raspberrypi-5"))
@click.pass_context
def command(context: click.Context) -> None:
    """List the devices that edgeonnx knows, or show one."""
    if context.invoked_subcommand is None:
        context.invoke(list_)


@command.command("list", epilog=example("edgeonnx targets list"))
@as_json
def list_(as_json: bool = False) -> None:
    """List the targets."""
    targets = list_targets()
    if as_json:
        print_json([target.model_dump(mode="json") for target in targets])
        return
    rows = ((t.name, t.tier, " ".join(sorted(t.members)), t.title) for t in targets)
    table(("target", "support", "members", "what"), rows)


@command.command(epilog=example("edgeonnx targets show raspberrypi-5", "edgeonnx targets show my-board.toml"))
@click.argument("name")
@as_json
def show(name: str, as_json: bool) -> None:
    """Show the target NAME: a shipped one, FAMILY-MEMBER, or the path of a profile."""
    target = load_target(name)
    if as_json:
        print_json(target.model_dump(mode="json"))
    else:
        _draw(target)


@command.command(epilog=example("edgeonnx targets check model.int8.onnx --target intel-openvino --strict"))
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--target", required=True, help="Device it is for, by name or profile.")
@click.option("--strict", is_flag=True, help="Make warnings an error.")
@click.option(
    "--provider-python",
    type=click.Path(path_type=Path),
    help="Interpreter that has the target's provider.  [default: looked for]",
)
@custom_op
@as_json
@click.pass_context
def check(
    context: click.Context, model: Path, target: str, strict: bool, provider_python: Path | None, as_json: bool
) -> None:
    """Show where each node of MODEL lands on a target, and what would bring it to the accelerator.

    Exits 1 where the target refuses the model, and with --strict where there is a warning.
    """
    report = check_placement(model, target, python=provider_python)
    if as_json:
        print_json(report)
    else:
        _draw_placement(report)
    if complaints := report.complaints(strict):
        click.echo(f"{report.target}: {'; '.join(complaints)}", err=True)
        context.exit(1)


def _draw_placement(report: PlacementReport) -> None:
    nodes = ", ".join(f"{provider or 'no provider'} {count}" for provider, count in report.nodes.items())
    rows: list[tuple[str, object]] = [
        ("target", report.target),
        ("source", report.source if report.asked else f"{report.source}: nothing ran"),
        ("nodes", nodes),
        ("partitions", f"{len(report.partitions)}, {report.copies} results copied between providers"),
    ]
    if report.accelerators:
        share = "not known" if report.share is None else f"{report.share:.1%}"
        rows.append(("MACs on the accelerator", share))
    if (integers := report.integers) is not None:
        kernels = ", ".join(f"{name} {count}" for name, count in integers.kernels.items()) or "none"
        share = "not known" if integers.share is None else f"{integers.share:.1%}"
        rows += [("integer kernels", kernels), ("MACs in integers", share)]
    rows += [("note", note) for note in report.notes]
    rows += [("refused", line) for line in report.refusals]
    rows += [("warning", line) for line in report.warnings]
    facts(rows)
    _draw_details(report)


def _draw_details(report: PlacementReport) -> None:
    """Partitions where there are several, what falls back, and float nodes among integers; the first of each."""
    if len(report.partitions) > 1:
        click.echo()
        runs = ((r.provider or "none", r.nodes, f"{r.macs:,}", r.first, r.last) for r in report.partitions[:_SHOWN])
        table(("partition on", "nodes", "MACs", "first", "last"), runs)
        _more(len(report.partitions))
    if report.fallbacks:
        click.echo()
        rows = _grouped(report.fallbacks)
        table(("not on the accelerator", "nodes", "why the first is not", "rewrite"), rows[:_SHOWN])
        _more(len(rows))
    if report.integers is not None and (islands := report.integers.islands):
        click.echo()
        table(("in float between conversions", "node"), ((i.op_type, i.name) for i in islands[:_SHOWN]))
        _more(len(islands))


def _grouped(fallbacks: tuple[Fallback, ...]) -> list[tuple[str, int, str, str]]:
    """A row for each operator and rewrite."""
    groups: dict[tuple[str, str], list[Fallback]] = defaultdict(list)
    for fallback in fallbacks:
        groups[fallback.op_type, fallback.rewrite].append(fallback)
    return [(op, len(each), f"{each[0].name}: {each[0].reason}", cure) for (op, cure), each in groups.items()]


def _more(count: int) -> None:
    if count > _SHOWN:
        click.echo(f"and {count - _SHOWN} more; --json has all")


def _draw(target: Target) -> None:
    hardware, caps = target.hardware, target.caps
    memory = ", ".join(str(mb) for mb in hardware.memory_mb)
    session = f"{target.session.intra_op_threads} threads, graph optimization {target.session.graph_optimization}"
    rows = [
        ("target", target.name),
        ("what", target.title),
        ("support", f"{target.tier}: {target.proof}"),
        ("platform", " ".join(str(part) for part in target.platform.model_dump().values() if part)),
        ("CPU", hardware.cpu),
        ("cores", hardware.cores),
        ("CPU features", " ".join(hardware.cpu_features)),
        ("memory, MB", memory),
        ("onnxruntime", f"{target.onnxruntime.package} {target.onnxruntime.minimum} or newer"),
        ("loads", f"opset {caps.opset}, IR version {caps.ir_version}"),
        ("providers", ", ".join(provider.name for provider in target.providers)),
        ("session", session),
        ("INT8 arithmetic", f"{target.arithmetic.isa}, uint8 x int8 {target.arithmetic.u8s8}"),
        ("members", " ".join(sorted(target.members))),
    ]
    facts((name, value) for name, value in rows if value)
    click.echo()
    table(("fact", "source"), ((source.fact, source.url) for source in target.sources))
