"""What is walked through: modes, unit, seed and budget."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Self

MODES: frozenset[Literal["prefix", "reorder", "torn"]] = frozenset(("prefix", "reorder", "torn"))
"""All of them: what came first persists; any of it does, in any order; operations do in part."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How much is walked through. What was left out for it is told by the result's `stats`."""

    states: int | None = 100_000
    """At most so many states, spread over all windows; None: no limit."""
    failures: int = 1
    """Stop after so many failures."""
    full: int | None = None
    """Windows of at most so many operations are walked in full (10 unless given, at most 16)."""
    torn_full: int | None = None
    """Windows of at most so many parts of operations are torn in every way (8, at most 16)."""
    samples: int | None = None
    """At most so many states of each kind in a larger window (1500)."""

    @classmethod
    def profile(cls, name: Literal["quick", "ci", "nightly"]) -> Self:
        """Return the budget of a name: "quick" while one writes code, "ci", or "nightly"."""
        match name:
            case "quick":
                return cls(states=20_000, samples=400)
            case "ci":
                return cls(states=200_000)
            case "nightly":
                return cls(states=None, full=14, torn_full=12, samples=10_000)
        raise ValueError(f"profile {name!r} is none of quick, ci, nightly")


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole plan, as the engine takes it."""

    modes: tuple[str, ...]
    unit: int
    seed: int
    states: int | None
    failures: int
    full: int | None
    torn_full: int | None
    samples: int | None

    @classmethod
    def of(cls, modes: Iterable[str], unit: int, seed: int, budget: Budget) -> Self:
        """Return the plan of these parts."""
        return cls(
            modes=tuple(sorted(set(modes))),
            unit=unit,
            seed=seed,
            states=budget.states,
            failures=budget.failures,
            full=budget.full,
            torn_full=budget.torn_full,
            samples=budget.samples,
        )
