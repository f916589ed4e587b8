"""What a paper says, what was measured, and whether the two agree: a report in Markdown."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

Verdict = Literal["reproduced", "not reproduced", "beyond this scale"]


#: two scores are alike where they differ by less than this share
MARGIN = 0.25


class Claim(NamedTuple):
    """One conclusion of a paper: `source` is its table, figure or section, `evidence` holds the numbers measured here."""

    source: str
    text: str
    verdict: Verdict
    evidence: str


class Table(NamedTuple):
    """Rows of cells under `header`."""

    title: str
    header: tuple[str, ...]
    rows: Sequence[Sequence[Any]]


def judge(source: str, text: str, holds: bool | None, evidence: str) -> Claim:
    """A claim by whether it `holds` in what was measured; None where this scale cannot say."""
    verdict: Verdict = "beyond this scale" if holds is None else "reproduced" if holds else "not reproduced"
    return Claim(source, text, verdict, evidence)


def above(one: float | None, other: float | None) -> bool | None:
    """Whether `one` is above `other`; None where one of them was not measured (None, NaN)."""
    return None if one is None or other is None or one != one or other != other else bool(one > other)


def highest(name: str, scores: Mapping[str, float | None]) -> bool | None:
    """Whether nothing that was measured is above `name`; None where it was not measured itself, or nothing else was."""
    answers = [above(other, scores[name]) for key, other in scores.items() if key != name]
    known = [answer for answer in answers if answer is not None]
    return not any(known) if known else None


def both(one: bool | None, other: bool | None) -> bool | None:
    """Whether both are so; None where that is not known."""
    return False if one is False or other is False else None if one is None or other is None else True


def most(answers: Iterable[bool | None]) -> bool | None:
    """Whether more than half of the answers are yes, of those that are known; None where none is."""
    known = [answer for answer in answers if answer is not None]
    return sum(known) > len(known) / 2 if known else None


def difference(ours: Any, theirs: Any, level: float = 0.95) -> Any:
    """Mean of ours[S games] above that of theirs[S' games], each game in units of their mean size: a `measure.Interval`.

    Welch's interval, which knows that seeds are few: a bootstrap of four never leaves what the four scored. NaN where
    nothing can be said: one seed, a score that is missing, a game in which they score nothing, seeds that all score the same.
    """
    import numpy as np
    from scipy.stats import t

    from rljax_viz.measure import Interval

    unknown = Interval(float("nan"), float("nan"), float("nan"))
    ours, theirs = (np.asarray(x, float).reshape(len(x), -1) for x in (ours, theirs))
    unit = np.abs(theirs.mean(0))
    if min(len(ours), len(theirs)) < 2 or not (unit > 0).all() or np.isnan(ours).any():
        return unknown
    both = [x / unit for x in (ours, theirs)]
    parts = np.array([x.var(0, ddof=1) / len(x) / unit.size**2 for x in both])  # squared errors of the mean over games
    freedom = np.array([[len(x) - 1] for x in both])
    if not parts.any():
        return unknown
    middle, spread = float((both[0].mean(0) - both[1].mean(0)).mean()), parts.sum()
    reach = float(t.ppf((1 + level) / 2, spread**2 / (parts**2 / freedom).sum()) * spread**0.5)
    return Interval(middle, middle - reach, middle + reach)


def settled(found: Any, kind: Literal["lower", "kept", "similar"]) -> bool | None:
    """Whether a `difference` is what the paper says; None where its interval leaves that open.

    lower: all of the interval is below 0; it is not where the interval holds no material loss (`MARGIN`).
    kept: no material loss; similar: neither loss nor gain. It is not where all of the interval is beyond the margin.
    """
    if found.low != found.low:
        return None
    if kind == "lower":
        return True if found.high < 0 else False if found.low > -MARGIN else None
    if found.low > -MARGIN and (kind == "kept" or found.high < MARGIN):
        return True
    return False if found.high < -MARGIN or (kind == "similar" and found.low > MARGIN) else None


def render(
    title: str, scale: str, command: str, seconds: float, claims: Sequence[Claim], tables: Sequence[Table] = (),
    pictures: Sequence[str] = (), notes: Sequence[str] = (),
) -> str:
    """The report: claims first, then tables, pictures and notes."""
    counts = {v: sum(claim.verdict == v for claim in claims) for v in Verdict.__args__}  # type: ignore[attr-defined]
    told = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    took = f" ({seconds:.0f} s in its parts)" if seconds >= 0.5 else ""
    about = f"Scale: {scale}{took}. Command: `{command}`. Claims: {told or 'none'}."
    lines = [f"# {title}", "", about, ""]
    if claims:
        lines += _grid(("claim of the paper", "where", "verdict", "measured here"),
                       [(c.text, c.source, f"**{c.verdict}**", c.evidence) for c in claims])  # fmt: skip
    for table in tables:
        lines += [f"## {table.title}", "", *_grid(table.header, table.rows)]
    for picture in pictures:
        lines += [f"![{picture}]({picture})", ""]
    return "\n".join([*lines, *(line for note in notes for line in (note, ""))]).rstrip() + "\n"


def _grid(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    def line(cells: Sequence[Any]) -> str:
        return "| " + " | ".join(shown(cell).replace("|", "\\|") for cell in cells) + " |"

    return [line(header), "|" + "---|" * len(header), *map(line, rows), ""]


def decimals(value: float | None) -> str:
    """Two decimals; what was not measured says so."""
    return "not measured" if value is None or value != value else f"{value:.2f}"


def shown(cell: Any) -> str:
    """A number with four digits, whole numbers with commas, truth as yes or no, nothing as a dash."""
    if cell is None or cell != cell:
        return "-"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if not isinstance(cell, int | float):
        return str(cell)
    return f"{cell:,}" if isinstance(cell, int) else f"{cell:.4g}"
