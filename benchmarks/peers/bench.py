"""Tools side by side in one run: each quantizes every model with its defaults, then one process scores all results.

    python bench.py --peers edgeonnx,ort --cases resnet8,hostile

Linux only: peak memory is read from /proc.
"""

import argparse
import json
import platform
from importlib.metadata import version
from pathlib import Path

from cases import CASES, prepare
from score import Scorer
from table import case_table, markdown
from tools import PEERS, TOOLS, Run, Tool, run

ROOT = Path(__file__).parents[2]


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
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", type=several(PEERS), default=PEERS, help=f"which, by commas: {','.join(PEERS)}")
    parser.add_argument("--cases", type=several(CASES), default=tuple(CASES), help=f"which of {','.join(CASES)}")
    bench = ROOT / "build" / "bench"
    parser.add_argument("--environments", type=absolute, default=ROOT / ".venv-peers", help="where peers are installed")
    parser.add_argument("--packages", type=absolute, default=bench / "packages", help="what models are taken from")
    parser.add_argument("--output", type=absolute, default=bench / "results.json", help="results; all else beside it")
    return parser.parse_args()


def absolute(text: str) -> Path:
    """Tools run in folders of their own."""
    return Path(text).absolute()


def several(known):
    def parse(text: str) -> tuple[str, ...]:
        words = tuple(text.split(","))
        if unknown := set(words) - set(known):
            raise argparse.ArgumentTypeError(f"expected some of {','.join(known)}, got {','.join(sorted(unknown))}")
        return words

    return parse


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


def machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    cpu = f"{names[0]}, {len(names)} cores" if names else platform.machine()
    return f"{cpu}; onnxruntime {version('onnxruntime')}, one thread; edgeonnx {version('edgeonnx')}"


if __name__ == "__main__":
    main()
