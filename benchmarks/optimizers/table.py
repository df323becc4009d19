"""The results as Markdown: a table a model, and how often each tool is best or equal."""

from typing import Any

from side_by_side import cell, mean, spread

Row = dict[str, Any]
Case = dict[str, Any]
# Within this of the best, times are equal: what two runs of one model differ by here.
NOISE = 0.05


def case_table(case: Case) -> str:
    lines = [
        f"**{case['title']}**",
        "",
        "| | nodes | size, KB | load, given = 1 | speed, given = 1 | off by |",
        "|---|---|---|---|---|---|",
        f"| as given | {case['nodes']} | {case['bytes'] / 1024:.0f} | 1.00 | 1.00 | |",
        *(f"| {row['tool']} | {_measures(row)} |" for row in case["rows"]),
    ]
    return "\n".join(lines)


def _measures(row: Row) -> str:
    if "problem" in row:
        return f"{cell(row['problem'])} | | | | "
    load, speed = spread(*row["load"]), spread(*row["speed"])
    return f"{row['nodes']} | {row['bytes'] / 1024:.0f} | {load} | {speed} | {row['off']:.0e}"


def summary(cases: list[Case]) -> str:
    """On how many models a tool is best or equal among its kind, and means over the models that it kept whole."""
    lines = [
        "| | models kept whole | fewest nodes | smallest | fastest load | fastest | nodes | size | load | speed |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for tool in dict.fromkeys(row["tool"] for case in cases for row in case["rows"]):
        pairs = [(c, r) for c in cases for r in c["rows"] if r["tool"] == tool and "problem" not in r]
        wins = [sum(best(case, row, column) for case, row in pairs) for column in COLUMNS]
        means = (
            mean([row["nodes"] / case["nodes"] for case, row in pairs]),
            mean([row["bytes"] / case["bytes"] for case, row in pairs]),
            mean([row["load"][0] for _, row in pairs]),
            mean([row["speed"][0] for _, row in pairs]),
        )
        cells = [tool, f"{len(pairs)} of {len(cases)}", *map(str, wins), *means]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


COLUMNS = ("nodes", "bytes", "load", "speed")


def best(case: Case, row: Row, column: str) -> bool:
    """Whether no other tool of its kind did better; in size by more than a hundredth, in time by more than noise."""
    rivals = [other for other in case["rows"] if "problem" not in other and other["portable"] == row["portable"]]
    if column in ("load", "speed"):
        return bool(row[column][0] >= max(other[column][0] for other in rivals) * (1 - NOISE))
    slack = 1.01 if column == "bytes" else 1
    return bool(row[column] <= min(other[column] for other in rivals) * slack)


def markdown(results: dict[str, Any]) -> str:
    """All of it, with what it was measured on."""
    return "\n\n".join([results["machine"], summary(results["cases"]), *map(case_table, results["cases"])])
