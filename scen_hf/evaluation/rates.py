"""Shares with their confidence intervals."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


# The two-sided 95 % quantile of the normal distribution.
Z95 = 1.959963984540054


@dataclass(frozen=True)
class Rate:
    """How often something happened.

    Args:
        successes: How often it did.
        count: How often it could have.
    """

    successes: int
    count: int

    @classmethod
    def of(cls, outcomes: Iterable[bool]) -> Rate:
        """The rate of true outcomes."""
        outcomes = list(outcomes)
        return cls(sum(map(bool, outcomes)), len(outcomes))

    @property
    def value(self) -> float:
        """The share, from 0 to 1; NaN of a count of 0."""
        return self.successes / self.count if self.count else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % score interval of E. B. Wilson (1927), "Probable inference, the law of succession, and statistical
        inference", Journal of the American Statistical Association 22:209-212.

        With z = 1.96, p the share and n the count: (p + z²/2n ± z √(p (1 - p)/n + z²/4n²)) / (1 + z²/n). Unlike the
        normal approximation it holds for few trials and for shares of 0 and 1, where it does not shrink to a point.

        Returns:
            `(low, high)`; (0, 1), which is no knowledge at all, of a count of 0.
        """
        if not self.count:
            return 0.0, 1.0
        p, n = self.value, self.count
        centre = p + Z95**2 / (2 * n)
        spread = Z95 * math.sqrt(p * (1 - p) / n + Z95**2 / (4 * n**2))
        scale = 1 + Z95**2 / n
        # At shares of 0 and 1 the bound is exact, and rounding must not move it.
        low = 0.0 if self.successes == 0 else max(0.0, (centre - spread) / scale)
        high = 1.0 if self.successes == n else min(1.0, (centre + spread) / scale)
        return low, high

    def to_dict(self) -> dict[str, Any]:
        """Value, counts and interval, as JSON can hold them: the value of a count of 0 is None."""
        low, high = self.interval
        return {
            "value": self.value if self.count else None,
            "successes": self.successes,
            "count": self.count,
            "low": low,
            "high": high,
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Rate:
        """The rate that [`Rate.to_dict`] wrote."""
        return cls(fields["successes"], fields["count"])
