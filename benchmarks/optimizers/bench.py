"""Optimizers side by side: each works on every model with its defaults, then one process measures all results.

python bench.py --tools edgeonnx,onnxslim --cases transformer,minilm
"""

import argparse
import json
import platform
import shutil
import sys
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import numpy as np

from edgeonnx.model import Model

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "benchmarks" / "peers"))  # one of its models is used here

from cases import CASES  # noqa: E402
from measure import count_nodes, measured, problem  # noqa: E402
from table import case_table, markdown  # noqa: E402
from tools import TOOLS, Tool, run  # noqa: E402


def main() -> None:
    options = arguments()
    tools = [tool for tool in TOOLS if tool.name in options.tools]
    results = {"machine": machine(), "cases": []}
    options.work.mkdir(parents=True, exist_ok=True)
    for name in options.cases:
        case = compared(name, tools, options)
        results["cases"].append(case)
        (options.work / "results.json").write_text(json.dumps(results, indent=1))
        print(case_table(case), flush=True)
    print(markdown(results))
    if options.output:
        options.output.write_text(HEAD + markdown(results) + "\n")


HEAD = """\
# Optimizers side by side

Written by `make bench-optimizers`; [README.md](README.md) says how it is measured.

"""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = tuple(tool.name for tool in TOOLS)
    parser.add_argument("--tools", type=several(names), default=names, help=f"which, by commas: {','.join(names)}")
    parser.add_argument("--cases", type=several(CASES), default=tuple(CASES), help=f"which of {','.join(CASES)}")
    bench = ROOT / "build" / "bench"
    parser.add_argument("--environments", type=Path, default=ROOT / ".venv-peers", help="where peers are installed")
    parser.add_argument("--packages", type=Path, default=bench, help="folders of packages that models are taken from")
    parser.add_argument("--work", type=Path, default=bench / "optimizers", help="models and results")
    parser.add_argument("--output", type=Path, help="where to write the table")
    return parser.parse_args()


def several(known):
    def parse(text: str) -> tuple[str, ...]:
        words = tuple(text.split(","))
        if unknown := set(words) - set(known):
            raise argparse.ArgumentTypeError(f"expected some of {','.join(known)}, got {','.join(sorted(unknown))}")
        return words

    return parse


def compared(name: str, tools: list[Tool], options: argparse.Namespace) -> dict:
    case, folder = CASES[name], options.work.absolute() / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    original = folder / "model.onnx"
    case.make(original, options.packages)
    for number, feeds in enumerate(case.feeds(Model.load(original))):
        np.savez(folder / f"feeds-{number}.npz", **feeds)
    made, rows = {}, []
    for tool in tools:
        output = folder / f"{tool.name.replace(' ', '-')}.onnx"
        failure = run(tool, original, output, options.environments.absolute()) or problem(original, output, case)
        rows.append({"tool": tool.name, "portable": tool.portable} | ({"problem": failure} if failure else {}))
        if failure is None:
            made[tool.name] = output
    measures = measured(original, made, case)
    rows = [row | (asdict(measures[row["tool"]]) if row["tool"] in measures else {}) for row in rows]
    return {"title": case.title, "nodes": count_nodes(original), "bytes": original.stat().st_size, "rows": rows}


def machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    cpu = f"{names[0]}, {len(names)} cores" if names else platform.machine()
    peers = ", ".join(pinned(tool.peer) for tool in TOOLS if tool.peer)
    return f"{cpu}; onnxruntime {version('onnxruntime')}, one thread; edgeonnx {version('edgeonnx')}, {peers}"


def pinned(peer: str) -> str:
    """A peer with the release that its environment has."""
    lines = (ROOT / "benchmarks" / "peers" / "requirements" / f"{peer}.txt").read_text().splitlines()
    return next(line.replace("==", " ") for line in lines if line.startswith(f"{peer}=="))


if __name__ == "__main__":
    main()
