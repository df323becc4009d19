"""Tools side by side in one run: each quantizes every model with its defaults, then one process scores all results.

    python bench.py --peers edgeonnx,ort --cases resnet8,hostile

Linux only: peak memory is read from /proc.
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))  # what comparisons share

from cases import CASES, prepare
from score import Scorer
from side_by_side import BUILD, absolute, machine, parser_of, several
from table import case_table, markdown
from tools import PEERS, TOOLS, Run, Tool, run


def main() -> None:
    options = arguments()
    work = options.output.parent
    work.mkdir(parents=True, exist_ok=True)
    chosen = [tool for tool in TOOLS if tool.peer in options.peers]
    made = {name: quantized(work / "cases" / name, name, chosen, options) for name in options.cases}
    results = {"machine": machine(), "cases": []}
    for name, runs in made.items():
        case = scored(work / "cases" / name, runs)
        results["cases"].append(case)
        options.output.write_text(json.dumps(results, indent=1))
        print(case_table(case), flush=True)
    options.output.with_suffix(".md").write_text(markdown(results))


def arguments() -> argparse.Namespace:
    parser = parser_of(__doc__.splitlines()[0], CASES)
    parser.add_argument("--peers", type=several(PEERS), default=PEERS, help=f"which, by commas: {','.join(PEERS)}")
    parser.add_argument("--packages", type=absolute, default=BUILD / "packages", help="what models are taken from")
    parser.add_argument("--output", type=absolute, default=BUILD / "results.json", help="results; all else beside it")
    return parser.parse_args()


def quantized(folder: Path, name: str, tools: list[Tool], options: argparse.Namespace) -> dict[Tool, Run]:
    prepare(name, folder, options.packages)
    runs = {}
    for tool in tools:
        runs[tool] = ran = run(tool, folder, options.environments)
        print(f"{name}: {tool.name}: {ran.problem or f'{ran.seconds:.1f} s, {ran.peak_mb:.0f} MB'}", flush=True)
    return runs


def scored(folder: Path, runs: dict[Tool, Run]) -> dict:
    scorer = Scorer(folder)
    about = json.loads((folder / "case.json").read_text())
    measures = {"float_score": scorer.float_score, "float_bytes": scorer.float_bytes, "rows": scorer.rows(runs)}
    return {**about, **measures}


if __name__ == "__main__":
    main()
