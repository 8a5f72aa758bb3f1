"""How unguessable a set of ids looks: uniqueness, alphabet, entropy, bias, order. Pure. Not a check.

It can show that ids are bad; that they are good rests also on how they are made.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from scipy.stats import chi2, norm

BIAS_LEVEL = 0.001


@dataclass(frozen=True, slots=True)
class IdStatistics:
    """Figures about ids, none of which can be turned back into one.

    Attributes:
        entropy_bits: sum over positions of the observed entropy, a lower estimate of what an attacker faces.
        bias_p: chance that unbiased characters look as uneven as these.
        order_p: chance that unrelated ids resemble their neighbours in time as much as these.
    """

    count: int
    unique: int
    length_min: int
    length_max: int
    visible_ascii: bool
    entropy_bits: float
    bias_p: float
    order_p: float


def statistics_of(ids: Sequence[str]) -> IdStatistics:
    """Figures of ``ids`` in the order in which they were issued."""
    shortest = min(map(len, ids), default=0)
    columns = [[one[position] for one in ids] for position in range(shortest)]
    free = _free_columns(columns)
    return IdStatistics(
        count=len(ids),
        unique=len(set(ids)),
        length_min=shortest,
        length_max=max(map(len, ids), default=0),
        visible_ascii=all(all("!" <= character <= "~" for character in one) for one in ids),
        entropy_bits=sum(_entropy(column) for column in columns),
        bias_p=_bias_p(free),
        order_p=_order_p(free),
    )


def _free_columns(columns: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    """Positions that take nearly as many values as the widest; others are structure, such as a prefix."""
    widest = max((len(set(column)) for column in columns), default=0)
    return [column for column in columns if len(set(column)) >= 0.8 * widest and widest > 1]


def _entropy(column: Sequence[str]) -> float:
    counts = Counter(column).values()
    return -sum(count / len(column) * math.log2(count / len(column)) for count in counts)


def _bias_p(columns: Sequence[Sequence[str]]) -> float:
    """Pearson's chi-square of all free positions together against equal use of the alphabet."""
    counts = Counter(character for column in columns for character in column)
    if len(counts) < 2:
        return 0.0
    expected = sum(counts.values()) / len(counts)
    statistic = sum((count - expected) ** 2 / expected for count in counts.values())
    return float(chi2.sf(statistic, len(counts) - 1))


def _order_p(columns: Sequence[Sequence[str]]) -> float:
    """How often neighbours in time share a character, against chance."""
    alphabet = len({character for column in columns for character in column})
    pairs = sum(len(column) - 1 for column in columns)
    if alphabet < 2 or pairs < 1:
        return 0.0
    equal = sum(a == b for column in columns for a, b in pairwise(column))
    chance = 1 / alphabet
    deviation = math.sqrt(pairs * chance * (1 - chance))
    return float(norm.sf((equal - pairs * chance) / deviation))
