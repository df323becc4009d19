"""The results as Markdown: a table a model, and the tools over all models.

python table.py build/bench/results.json
"""

import json
import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1]))  # what comparisons share

from side_by_side import cell, mean, spread

WITHIN = 0.01
Row = dict[str, Any]
Case = dict[str, Any]


def case_table(case: Case) -> str:
    """One model: float, then every tool."""
    lines = [
        f"**{case['title']}** ({case['metric']})",
        "",
        "| | accuracy | size, KB | speed, float = 1 | seconds | peak, MB |",
        "|---|---|---|---|---|---|",
        f"| float | {case['float_score']:.4f} | {case['float_bytes'] / 1024:.0f} | 1.00 | | |",
        *(f"| {row['tool']} | {_measures(row)} |" for row in case["rows"]),
    ]
    return "\n".join(lines)


def _measures(row: Row) -> str:
    effort = " | ".join("" if row[key] is None else f"{row[key]:.0f}" for key in ("seconds", "peak_mb"))
    if "problem" in row:
        return f"failed: {cell(row['problem'])} | | | {effort}"
    speed = spread(*(row["speed"][key] for key in ("ratio", "low", "high")))
    return f"{row['score']:.4f} | {row['bytes'] / 1024:.0f} | {speed} | {effort}"


def summary(cases: list[Case]) -> str:
    """The tools over all models; geometric means over those where a tool kept accuracy within `WITHIN` of float."""
    lines = [
        f"| | models within {WITHIN} of float | speed there | size there | speed, float where not within |",
        "|---|---|---|---|---|",
    ]
    for tool in dict.fromkeys(row["tool"] for case in cases for row in case["rows"]):
        pairs = [(case, row) for case in cases for row in case["rows"] if row["tool"] == tool]
        good = [(c, r) for c, r in pairs if "problem" not in r and r["score"] >= c["float_score"] - WITHIN]
        speeds = [row["speed"]["ratio"] for _, row in good]
        sizes = [row["bytes"] / case["float_bytes"] for case, row in good]
        shipped = speeds + [1.0] * (len(pairs) - len(good))
        lines.append(f"| {tool} | {len(good)} of {len(pairs)} | {mean(speeds)} | {mean(sizes)} | {mean(shipped)} |")
    return "\n".join(lines)


def markdown(results: dict[str, Any]) -> str:
    """All of it, with what it was measured on."""
    return "\n\n".join([results["machine"], *map(case_table, results["cases"]), summary(results["cases"])]) + "\n"


if __name__ == "__main__":
    print(markdown(json.loads(Path(sys.argv[1]).read_text())))
