"""`edgeonnx targets`."""

import click

from edgeonnx.cli._draw import as_json, example, facts, print_json, table
from edgeonnx.targets import Target, list_targets, load_target


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
