"""What `tune` found, for people and programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ._choices import describe
from ._significance import better, interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._contest import Contender
    from ._tuned import Setup


class Candidate(NamedTuple):
    """One way to run the model, and what was measured of it.

    Attributes:
        name: the way, in words.
        setup: the way.
        rounds: how many turns it had.
        median_us: of its turns, microseconds a run; with several sessions, of the time that passes over all runs.
        cpu_us: CPU microseconds a run, of all threads.
        ratio: how many times as good as the bundle's own settings, by what the policy counts: a median over rounds.
        low, high: where that median lies, 95 % of the time.
        verdict: what came of it.
    """

    name: str
    setup: Setup
    rounds: int
    median_us: float | None
    cpu_us: float | None
    ratio: float | None
    low: float | None
    high: float | None
    verdict: str


class TuneReport(NamedTuple):
    """What was measured.

    Attributes:
        policy: what counted.
        candidates: all that were tried: the bundle's own settings first, then the better ones first.
        winner: the name of the one that `load` will use; None: the bundle's own settings stay.
        path: the profile that was written.
        seconds: how long it took.
        notes: what a person should know of how it was measured.
    """

    policy: str
    candidates: tuple[Candidate, ...]
    winner: str | None
    path: str
    seconds: float
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The same as dicts, lists, strings and numbers."""
        candidates = [{**each._asdict(), "setup": each.setup.to_dict()} for each in self.candidates]
        return {**self._asdict(), "candidates": candidates}


def as_table(report: TuneReport) -> list[tuple[str, ...]]:
    """What was measured, as rows of cells; the first has the headings."""
    rows: list[tuple[str, ...]] = [("settings", "us a run", "CPU us a run", "gain", "95 % interval", "verdict")]
    for each in report.candidates:
        bounds = "" if each.low is None or each.high is None else f"{each.low:.2f} to {each.high:.2f}"
        times = ["" if value is None else f"{value:.1f}" for value in (each.median_us, each.cpu_us)]
        gain = "" if each.ratio is None else f"{each.ratio:.2f}x"
        rows.append((each.name, *times, gain, bounds, each.verdict.partition("; ")[0]))
    return rows


def findings(
    reference: Contender,
    others: Sequence[Contender],
    finalists: Sequence[Contender],
    twin: Contender,
    winner: Contender | None,
) -> tuple[Candidate, ...]:
    """The bundle's own settings, the finalists, and the others, the better ones first."""
    last = sorted((each for each in others if each not in finalists), key=lambda each: -each.ratio)
    ordered = [reference, *sorted(finalists, key=lambda each: -each.ratio), *last]
    found = []
    for each in ordered:
        if each is reference:
            verdict = "the bundle's own" if winner is not None else "the bundle's own: it stays"
        elif each is winner:
            verdict = "wins"
        else:
            verdict = each.fault or _verdict(each.ratios, twin.ratios if each in finalists else None)
        found.append(_candidate(each, reference.setup, verdict))
    return tuple(found)


def _verdict(ratios: Sequence[float], twin: Sequence[float] | None) -> str:
    """Of one that runs and does not win; with `twin`, of a finalist."""
    found = interval(ratios)
    if not ratios:
        return "not reached within the budget"
    if found is not None and found.high < 1:
        return "worse"
    if twin is None:
        return "behind others"
    if found is None:
        return f"too few rounds to tell, {len(ratios)}; give it a longer budget"
    return "better, the winner more so" if better(ratios, twin) else "no difference beyond noise"


def _candidate(contender: Contender, default: Setup, verdict: str) -> Candidate:
    found, turns = interval(contender.ratios) if contender.setup != default else None, contender.turns
    return Candidate(
        name=describe(contender.setup, default),
        setup=contender.setup,
        rounds=len(turns),
        median_us=float(np.median([turn.seconds for turn in turns])) * 1e6 if turns else None,
        cpu_us=float(np.median([turn.cpu for turn in turns])) * 1e6 if turns else None,
        ratio=contender.ratio if contender.ratios else None,
        low=None if found is None else found.low,
        high=None if found is None else found.high,
        verdict=verdict,
    )


def rounded(candidate: Candidate) -> dict[str, Any]:
    """For people to read: four digits."""
    plain = {**candidate._asdict(), "setup": candidate.setup.to_dict()}
    return {key: float(f"{value:.4g}") if isinstance(value, float) else value for key, value in plain.items()}
