"""The runtime from a shell: `python -m edgeonnx_runtime NAME.edge VERB`, or `python NAME.edge VERB`."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from ._errors import EdgeonnxError, InputError
from ._version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

_EPILOG = """examples:
  {program} info
  {program} run shirt.png boot.png
  {program} run tokens=tokens.npy mask=mask.npy --output outputs.npz
  {program} selftest --variant all
  {program} health photos/*.png
  {program} tune --policy battery --budget 120
  {program} bench --runs 1000 --threads 1 --json
  {program} facts --json > facts.json
"""


def main(argv: Sequence[str] | None = None, bundle: str | None = None) -> int:
    """Run one verb and return the exit code.

    0 all is well; 1 the golden samples differ, inputs raise the alarm, or the bundle is not signed with the key that
    was given; 2 something given can't be used, said in one line on stderr.

    Args:
        argv: the arguments; sys.argv's by default.
        bundle: the bundle's path, where it is not the first argument.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a label may have letters that the terminal's encoding lacks
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _run(_parse(argv, bundle))
        sys.stdout.flush()
        return code
    except EdgeonnxError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # `... | head` has read enough; Python would complain at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130


class _Parser(argparse.ArgumentParser):
    """argparse whose errors are one line, as all others."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; {self.prog} --help explains")


def _parse(argv: Sequence[str] | None, bundle: str | None) -> argparse.Namespace:
    program = "python -m edgeonnx_runtime" if bundle is None else f"python {os.path.basename(bundle)}"
    shown = program if bundle else f"{program} NAME.edge"
    parser = _Parser(
        prog=program,
        description="Runs a bundle on this machine.",
        epilog=_EPILOG.format(program=shown),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"edgeonnx-runtime {__version__}")
    if bundle is None:
        parser.add_argument("bundle", metavar="BUNDLE", help="the .edge file")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)

    common = _Parser(add_help=False)
    common.add_argument("--json", action="store_true", help="print JSON")
    if bundle is None:  # a bundle that runs itself could not be trusted to say that it is signed
        common.add_argument(
            "--public-key", metavar="FILE.pem", help="refuse a bundle that this key's owner did not sign"
        )
    session = _Parser(add_help=False)
    session.add_argument("--threads", type=int, metavar="N", help="threads in place of the bundle's; 0: onnxruntime's")
    session.add_argument("--variant", metavar="NAME", help="the variant to run, whatever the CPU has")
    session.add_argument("--no-verify", action="store_true", help="leave the bundle's hashes unchecked")
    session.add_argument("--no-tuned", action="store_true", help="ignore what `tune` found")

    _add_verbs(verbs, common, session, shown)
    arguments = parser.parse_args(argv)
    if bundle is not None:
        arguments.bundle = bundle
    return arguments


def _add_verbs(verbs: Any, common: _Parser, session: _Parser, shown: str) -> None:
    """The verbs, each with its options.

    Args:
        verbs: what argparse adds them to.
        common: options of each.
        session: options of those that run the model.
        shown: how the program is called.
    """
    verbs.add_parser("info", parents=[common], prog=f"{shown} info", help="say what the bundle holds")
    verbs.add_parser("facts", parents=[common], prog=f"{shown} facts", help="say what this machine has")
    run = verbs.add_parser("run", parents=[common, session], prog=f"{shown} run", help="run the model on files")
    run.add_argument("inputs", nargs="+", metavar="INPUT", help=".png, .npy or .npz, one sample each; or name=file")
    run.add_argument("--output", metavar="FILE.npz", help="write the raw outputs")
    verbs.add_parser(
        "selftest",
        parents=[common, session],
        prog=f"{shown} selftest",
        help="run the golden samples",
        epilog="--variant all runs those of each variant",
    )
    health = verbs.add_parser(
        "health", parents=[common, session], prog=f"{shown} health", help="compare files with the calibration samples"
    )
    health.add_argument("inputs", nargs="+", metavar="INPUT", help="as of run")
    bench = verbs.add_parser("bench", parents=[common, session], prog=f"{shown} bench", help="time the model")
    bench.add_argument("--runs", type=int, default=100, metavar="N", help="timed runs (100)")
    bench.add_argument("--sessions", type=int, metavar="N", help="sessions side by side (1, or as tuned)")
    bench.add_argument("--warmup", type=int, default=10, metavar="N", help="runs before those (10)")
    tune = verbs.add_parser(
        "tune", parents=[common], prog=f"{shown} tune", help="measure what settings suit this machine, and keep them"
    )
    tune.add_argument(
        "--policy", default="latency", metavar="NAME", help="what counts: latency (default), throughput or battery"
    )
    tune.add_argument("--budget", type=float, default=60.0, metavar="SECONDS", help="how long to measure (60)")
    tune.add_argument("-o", "--output", metavar="FILE", help="the profile to write (NAME.edge.tuned)")


def _run(arguments: argparse.Namespace) -> int:
    if arguments.verb == "facts":  # onnxruntime may be missing here, or end the process that imports it
        from ._facts import describe

        print(describe(arguments.json))
        return 0
    from . import _verbs

    if getattr(arguments, "public_key", None) is not None:
        from ._signature import check_signature

        check_signature(arguments.bundle, arguments.public_key)
    verbs = {
        "info": _verbs.info,
        "run": _verbs.run,
        "selftest": _verbs.selftest,
        "health": _verbs.health,
        "bench": _verbs.bench,
        "tune": _verbs.tune,
    }
    return verbs[arguments.verb](arguments)


if __name__ == "__main__":
    sys.exit(main())
