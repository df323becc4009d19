"""Optimizers side by side: each works on every model with its defaults, then one process measures all results.

python bench.py --tools edgeonnx,onnxslim --cases transformer,minilm
"""

import argparse
import json
import shutil
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np

from edgeonnx.model import Model

BENCHMARKS = Path(__file__).parents[1]
# What comparisons share, and one model.
sys.path.extend([str(BENCHMARKS), str(BENCHMARKS / "peers")])

from cases import CASES  # noqa: E402
from measure import count_nodes, measured, problem  # noqa: E402
from side_by_side import BUILD, absolute, machine, parser_of, several  # noqa: E402
from table import case_table, markdown  # noqa: E402
from tools import TOOLS, Tool, run  # noqa: E402


def main() -> None:
    options = arguments()
    tools = [tool for tool in TOOLS if tool.name in options.tools]
    peers = ", ".join(pinned(tool.peer) for tool in TOOLS if tool.peer)
    results = {"machine": f"{machine()}, {peers}", "cases": []}
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
    parser = parser_of(__doc__.splitlines()[0], CASES)
    names = tuple(tool.name for tool in TOOLS)
    parser.add_argument("--tools", type=several(names), default=names, help=f"which, by commas: {','.join(names)}")
    parser.add_argument(
        "--packages", type=absolute, default=BUILD, help="folders of packages that models are taken from"
    )
    parser.add_argument("--work", type=absolute, default=BUILD / "optimizers", help="models and results")
    parser.add_argument("--output", type=absolute, help="where to write the table")
    return parser.parse_args()


def compared(name: str, tools: list[Tool], options: argparse.Namespace) -> dict:
    case, folder = CASES[name], options.work / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    original = folder / "model.onnx"
    case.make(original, options.packages)
    for number, feeds in enumerate(case.feeds(Model.load(original))):
        np.savez(folder / f"feeds-{number}.npz", **feeds)
    made, rows = {}, []
    for tool in tools:
        output = folder / f"{tool.name.replace(' ', '-')}.onnx"
        failure = run(tool, original, output, options.environments) or problem(original, output, case)
        rows.append({"tool": tool.name, "portable": tool.portable} | ({"problem": failure} if failure else {}))
        if failure is None:
            made[tool.name] = output
    measures = measured(original, made, case)
    rows = [row | (asdict(measures[row["tool"]]) if row["tool"] in measures else {}) for row in rows]
    return {"title": case.title, "nodes": count_nodes(original), "bytes": original.stat().st_size, "rows": rows}


def pinned(peer: str) -> str:
    """A peer with the release that its environment has."""
    lines = (BENCHMARKS / "peers" / "requirements" / f"{peer}.txt").read_text().splitlines()
    return next(line.replace("==", " ") for line in lines if line.startswith(f"{peer}=="))


if __name__ == "__main__":
    main()
