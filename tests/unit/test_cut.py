"""Placement by minimum cut: toy costs whose best division can be seen."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeonnx.quantize.cut import Costs, cheapest


def total(costs, integers):
    """What a division costs, added up from the definition."""
    time = sum(costs.integer.get(n, 1e12) if n in integers else t for n, t in costs.floating.items())
    time += sum(costs.entries.get(n, 0.0) for n in integers)
    return time + sum(c for one, other, c in costs.borders if (one in integers) != (other in integers))


def chain(floating, integer, conversion, entry=1.0, tied=()):
    names = [f"n{index}" for index in range(len(floating))]
    borders = tuple((one, other, conversion) for one, other in itertools.pairwise(names))
    return Costs(
        dict(zip(names, floating, strict=True)),
        {name: time for name, time in zip(names, integer, strict=True) if time is not None},
        borders,
        tuple(tied),
        {names[0]: entry, names[-1]: entry},
    )


def test_all_in_integers_where_that_is_cheaper():
    assert cheapest(chain([10, 10, 10], [2, 2, 2], 1)) == {"n0", "n1", "n2"}


def test_none_where_conversions_eat_the_gain():
    assert cheapest(chain([10, 10, 10], [9, None, 9], 5)) == frozenset()


def test_a_slow_node_between_fast_ones_stays_if_leaving_costs_more():
    assert cheapest(chain([10, 1, 10], [2, 3, 2], 5)) == {"n0", "n1", "n2"}
    assert cheapest(chain([10, 1, 10], [2, 9, 2], 1)) == {"n0", "n2"}


def test_what_must_stay_in_float_does():
    assert cheapest(chain([10, 10, 10], [2, 2, 2], 1), ["n1"]) == {"n0", "n2"}


def test_what_is_tied_goes_together():
    assert cheapest(chain([10, 0, 1], [2, 0, None], 1, tied=[("n0", "n1")])) == {"n0", "n1"}
    assert cheapest(chain([1, 0, 1], [2, 0, None], 1, tied=[("n0", "n1")])) == frozenset()


times = st.lists(st.tuples(st.integers(0, 20), st.one_of(st.none(), st.integers(0, 20))), min_size=1, max_size=7)


@settings(max_examples=200, deadline=None)
@given(times, st.integers(0, 6), st.integers(0, 3))
def test_no_division_is_cheaper(pairs, conversion, entry):
    costs = chain([one for one, _ in pairs], [other for _, other in pairs], conversion, entry)
    names = list(costs.floating)
    every = itertools.chain.from_iterable(itertools.combinations(names, size) for size in range(len(names) + 1))
    best = min(total(costs, set(some)) for some in every)
    assert total(costs, cheapest(costs)) == pytest.approx(best)
