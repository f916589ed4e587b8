"""The grid's one entrance: `index.html` beside the results of all tables, with every agent's pages, pictures and reports."""

import base64
import io
import json
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from experiments.claims import shown
from experiments.gradient_saliency.agents import KINDS
from experiments.scale import TINY, Experiment, keep

OURS = '<meta name="generator" content="experiments.gradient_saliency">'
PAPER = "Are Gradient-based Saliency Maps Useful in Deep Reinforcement Learning?"
STYLE = """
:root { --page: #f3f4f6; --card: #fff; --line: #dde1e7; --text: #1b2028; --soft: #5d6776; --link: #2563c9; --yes: #14804a;
  --no: #b3261e; color-scheme: light dark; }
@media (prefers-color-scheme: dark) { :root { --page: #101318; --card: #181c23; --line: #2a303a; --text: #e7eaef;
  --soft: #98a2b1; --link: #6ea8fe; --yes: #4cc38a; --no: #ff7b72; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1100px; padding: 16px; background: var(--page); color: var(--text); overflow-wrap: anywhere;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 24px; line-height: 1.25; margin: 8px 0; } h2 { font-size: 20px; margin: 28px 0 10px; }
h3 { font-size: 17px; line-height: 1.3; margin: 0 0 6px; } h4 { font-size: 14px; margin: 14px 0 4px; } p { margin: 6px 0; }
a { color: var(--link); } .soft, figcaption, small { color: var(--soft); font-size: 14px; }
article { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 14px; margin: 0 0 14px; }
.open { display: flex; flex-wrap: wrap; gap: 8px; margin: 10px 0; }
.open a { border: 1px solid var(--link); border-radius: 8px; padding: 8px 12px; text-decoration: none; }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 300px), 1fr)); gap: 12px;
  align-items: end; }
figure { margin: 0; } img { display: block; width: 100%; height: auto; border-radius: 6px; border: 1px solid var(--line); }
ul { padding-left: 20px; margin: 6px 0; } li { margin: 6px 0; } li small { display: block; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 12px; margin: 8px 0; font-size: 14px; }
dt { color: var(--soft); } dd { margin: 0; }
.yes { color: var(--yes); } .no { color: var(--no); } .open-question { color: var(--soft); }
summary { cursor: pointer; padding: 6px 0; } code { font-size: 13px; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: 13px; overflow-wrap: normal; }
th, td { border-bottom: 1px solid var(--line); padding: 4px 10px 4px 0; text-align: left; white-space: nowrap; }
.warning { border-left: 4px solid var(--no); padding: 6px 12px; }
"""
VERDICTS = {"reproduced": "yes", "not reproduced": "no", "beyond this scale": "open-question"}


class Result(NamedTuple):
    """One experiment's folder: its `report.json`, and its parts that are of one agent, by (kind, game)."""

    folder: Path
    report: dict[str, Any]
    agents: dict[tuple[str, str], dict[str, Any]]


def write_index(at: Experiment) -> Path | None:
    """`index.html` beside the folder of `at`: whatever of the grid lies there. One that is not ours is left alone."""
    path = at.folder.parent / "index.html"
    if path.exists() and OURS not in path.read_text(errors="replace"):
        at.say(f"{path} is not a page of these experiments, and is left as it is")
        return None
    return keep(path, page(results(at.folder.parent)))


def results(folder: Path) -> list[Result]:
    """The finished experiments of this paper in `folder`, in the order of their titles."""
    found = []
    for file in folder.glob("*/report.json"):
        report = json.loads(file.read_text())
        parts = {kind_and_game(part.stem): json.loads(part.read_text())["value"] for part in file.parent.glob("parts/*.json")}
        if report["title"].startswith("Gradient saliency"):
            found.append(Result(file.parent, report, {key: value for key, value in parts.items() if key}))
    return sorted(found, key=lambda one: one.report["title"])


def kind_and_game(part: str) -> tuple[str, str] | None:
    """Of the part `Seaquest-v5-a3c-lstm` `("a3c-lstm", "Seaquest-v5")`; None if it is not of an agent."""
    return next(((name, part.removesuffix(f"-{name}")) for name in KINDS if part.endswith(f"-{name}")), None)


def page(found: Sequence[Result]) -> str:
    """The document: agents first, then the reports."""
    order = list(KINDS)
    agents = sorted({key for one in found for key in one.agents}, key=lambda key: (order.index(key[0]), key[1]))
    scales = dict.fromkeys(one.report["scale"] for one in found)
    told = f'<p class="warning">{TINY}</p>' if any(scale.startswith("tiny") for scale in scales) else ""
    return "\n".join([
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n{OURS}',
        f"<title>Gradient saliency: the grid</title>\n<style>{STYLE}</style>\n</head>\n<body>",
        "<h1>Gradient saliency: the grid</h1>",
        f'<p>Rosynski et al. 2020, <a href="https://arxiv.org/abs/2012.01281">{PAPER}</a>: agents by methods, streams, '
        f'layers and past frames, and a network that has hardly learned. Scale: {escape(", ".join(scales))}.</p>', told,
        '<p class="soft">In an explorer page choose a method, a score and a step. Its scale "step" is the normalisation '
        'over a frame, "all" that over the video. A picture opens in full.</p>',
        "<h2>Agents</h2>", *(_agent(found, *key) for key in agents), "<h2>Reports</h2>", *map(_report, found),
        "</body>\n</html>\n",
    ])  # fmt: skip


def _agent(found: Sequence[Result], name: str, game: str) -> str:
    have = [(one, one.agents[name, game]) for one in found if (name, game) in one.agents]
    links, pictures, facts = [], [], {}
    for one, value in have:
        if "page" in value:
            early = "update" in value
            words = "early checkpoint beside the trained one" if early else ", ".join(_grid_of(value["cells"]))
            links.append(f'<a href="{_to(one, value["page"])}">Explorer: {words}</a>')
            if early:
                first, last = map(shown, value["returns"])
                facts["early checkpoint"] = f"after update {value['update']}, return {first} of {last}"
        if "cells" in value:
            facts = _grid_of(value["cells"]) | facts
        pictures += [_picture(one, words, file) for words, file in value.get("pictures", {}).items()]
    rows = "".join(f"<dt>{escape(what)}</dt><dd>{escape(words)}</dd>" for what, words in facts.items())
    return (f'<article>\n<h3>{escape(KINDS[name].label)}: {escape(game)}</h3>\n<div class="open">{"".join(links)}</div>\n'
            f'<dl>{rows}</dl>\n<div class="pictures">{"".join(pictures)}</div>\n</article>')  # fmt: skip


def _grid_of(cells: Iterable[str]) -> dict[str, str]:
    """What of the paper's grid the cells with these labels are, row by row."""
    rows: dict[str, list[str]] = {"methods": [], "scores": [], "layers": [], "past frames": []}
    for method, score, *rest in map(str.split, cells):
        rows["methods"].append(method)
        rows["scores"].append(score)
        for one in rest:
            rows["past frames" if one.startswith("t-") else "layers"].append(one)
    return {what: ", ".join(dict.fromkeys(words)) for what, words in rows.items() if words}


def _picture(one: Result, words: str, file: str, width: int = 640) -> str:
    """A small copy inside the page, which leads to the picture itself."""
    from PIL import Image

    small, held = Image.open(one.folder / file).convert("RGB"), io.BytesIO()
    small.thumbnail((width, width))
    small.save(held, "WEBP", quality=80)
    data = base64.b64encode(held.getvalue()).decode()
    return (f'<figure><a href="{_to(one, file)}"><img alt="{escape(words)}" src="data:image/webp;base64,{data}"></a>'
            f"<figcaption>{escape(words)}</figcaption></figure>")  # fmt: skip


def _report(one: Result) -> str:
    report = one.report
    counts = {verdict: sum(claim["verdict"] == verdict for claim in report["claims"]) for verdict in VERDICTS}
    told = ", ".join(f'<span class="{VERDICTS[verdict]}">{n} {verdict}</span>' for verdict, n in counts.items())
    claims, tables = ("".join(map(draw, report[what])) for draw, what in ((_claim, "claims"), (_table, "tables")))
    command = f"Scale: {escape(report['scale'])}. <code>{escape(report.get('command', ''))}</code>"
    return (f'<article>\n<h3>{escape(report["title"])}</h3>\n<p>{told}. <a href="{_to(one, "report.md")}">report.md</a></p>\n'
            f"<details><summary>The claims of the paper</summary><ul>{claims}</ul></details>\n"
            f"<details><summary>Tables</summary>{tables}</details>\n"
            f'<p class="soft">{command}</p>\n</article>')  # fmt: skip


def _claim(claim: dict[str, str]) -> str:
    verdict = f'<b class="{VERDICTS[claim["verdict"]]}">{claim["verdict"]}</b>'
    about = f'{escape(claim["text"])} <span class="soft">({escape(claim["source"])})</span>'
    return f"<li>{about}: {verdict}<small>{escape(claim['evidence'])}</small></li>"


def _table(table: dict[str, Any]) -> str:
    row = lambda cells, tag: "<tr>" + "".join(f"<{tag}>{escape(shown(c))}</{tag}>" for c in cells) + "</tr>"  # noqa: E731
    rows = "".join(row(cells, "td") for cells in table["rows"])
    return f'<h4>{escape(table["title"])}</h4><div class="wide"><table>{row(table["header"], "th")}{rows}</table></div>'


def _to(one: Result, file: str) -> str:
    return f"{quote(one.folder.name)}/{quote(file)}"
