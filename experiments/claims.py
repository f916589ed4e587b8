"""What a paper says, what was measured, and whether the two agree: a report in Markdown."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

Verdict = Literal["reproduced", "not reproduced", "beyond this scale"]


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


def render(
    title: str, scale: str, command: str, seconds: float, claims: Sequence[Claim], tables: Sequence[Table] = (),
    pictures: Sequence[str] = (), notes: Sequence[str] = (),
) -> str:
    """The report: claims first, then tables, pictures and notes."""
    counts = {v: sum(claim.verdict == v for claim in claims) for v in Verdict.__args__}  # type: ignore[attr-defined]
    told = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    about = f"Scale: {scale} ({seconds:.0f} s in its parts). Command: `{command}`. Claims: {told or 'none'}."
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


def shown(cell: Any) -> str:
    """A number with four digits, whole numbers with commas, truth as yes or no, nothing as a dash."""
    if cell is None or cell != cell:
        return "-"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if not isinstance(cell, int | float):
        return str(cell)
    return f"{cell:,}" if isinstance(cell, int) else f"{cell:.4g}"
