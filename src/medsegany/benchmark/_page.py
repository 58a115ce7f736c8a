"""A folder of results as one HTML page, which needs no other file."""

import base64
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template

import numpy as np
from PIL import Image as Pillow

from medsegany.benchmark._figures import DPI
from medsegany.benchmark._manifest import KINDS, Manifest
from medsegany.benchmark._pictures import Shown
from medsegany.benchmark._published import Delta, beside_paper
from medsegany.benchmark._results import Measurement, trained
from medsegany.benchmark._tables import ScoreTable

_SHOWN_DPI = 80  # so that all plots have letters of one size
_READ = (
    "A number is the mean over cases, each of them the mean over its objects, with the 95 % "
    "interval that drawing patients anew gives; the mean of modalities has none, since nobody drew "
    "modalities. Bold is the best of the models that have every case. The NSD has the tolerance of "
    "the protocol, in millimetres where the spacing is known and in pixels elsewhere."
)
_SIDES = (
    "Left the reference, right what was found, with the box of each object; an object has one "
    "colour on both sides, and one that was prompted on another slice has no box here. Of volumes "
    "and videos the slice is shown on which the largest object was prompted; the DSC is of all "
    "slices."
)
_LISTED = 50  # cases without a score on the page


def page_of(
    title: str,
    rows: Sequence[Measurement],
    tables: Mapping[str, ScoreTable],
    figures: Mapping[str, Path],
    shown: Sequence[Shown],
    manifest: Manifest | None,
) -> str:
    """The page.

    Args:
        title: Of it.
        rows: Of one protocol.
        tables: Name -> table.
        figures: Words -> file.
        shown: Cases as pictures.
        manifest: Of the cases, where it is there.
    """
    learnt = trained(rows)
    parts = [_section("In short", _counts(learnt, manifest))] if learnt else []
    parts += [
        _section(f"Table {name.removeprefix('table')}. {table.title}", _table(table))
        for name, table in tables.items()
    ]
    if tables:
        parts.append(f"<p>{_READ}</p>")
    if deltas := beside_paper(tables):
        parts.append(_section("Beside the paper", _beside(deltas)))
    if shown:
        parts.append(_section("The best, the median, the worst", _gallery(shown)))
    if figures:
        parts.append(_section("Figures", "".join(map(_plot, figures, figures.values()))))
    if untrained := [row for row in rows if row.untrained and row.status == "ok"]:
        parts.append(_section("With random weights", _costs(untrained)))
    if manifest is not None:
        parts.append(_section("Data", _data(rows, manifest)))
    if lost := [row for row in rows if row.status != "ok"]:
        parts.append(_section("Cases without a score", _lost(lost)))
    parts.append(_section("To repeat it", _how(rows)))
    return _PAGE.substitute(title=escape(title), body="\n".join(parts))


def _section(head: str, body: str) -> str:
    return f"<section><h2>{escape(head)}</h2>\n{body}</section>"


def _counts(rows: Sequence[Measurement], manifest: Manifest | None) -> str:
    good = [row for row in rows if row.status == "ok"]
    lines = []
    for kind, words in KINDS.items():
        here = [row for row in good if row.kind == kind]
        if here:
            counts = [len({getattr(row, name) for row in here})
                      for name in ("case", "patient", "modality")]  # fmt: skip
            objects = len({(row.case, row.label) for row in here})
            lines.append([words, *map(str, (*counts, objects))])
    table = _grid(["", "cases", "patients", "modalities", "objects"], lines)
    return table + _list(_too_small(good, manifest))


def _too_small(rows: Sequence[Measurement], manifest: Manifest | None) -> list[str]:
    """A sentence about objects that nobody was asked for, where the manifest tells of them."""
    measured: dict[str, set[int]] = {}
    for row in rows:
        measured.setdefault(row.case_key, set()).add(row.label)
    left_out = sum(
        len(case.labels.keys() - measured[case.key])
        for case in manifest or ()
        if case.key in measured
    )
    if not left_out:
        return []
    words = (
        f"{left_out} further objects of these cases are too small on their prompted slice, "
        "and no model was asked for them (smallest_px of the protocol)."
    )
    return [words]


def _table(table: ScoreTable) -> str:
    """Means with their intervals below them; the best of each column stands out."""
    keys = [(modality, metric) for modality in table.modalities for metric in table.metrics]
    head = [""] + [f"{modality} {metric.upper()}" for modality, metric in keys]
    lines = []
    for model in table.models:
        line = [escape(model)]
        for key in keys:
            cell = table.cells.get((model, *key))
            if cell is None or np.isnan(cell.cases.mean):
                line.append("&ndash;")
                continue
            number = f"{cell.cases.mean:.3f}"
            number = f"<b>{number}</b>" if table.is_best(cell) else number
            low, high = cell.cases.low, cell.cases.high
            between = "" if np.isnan(low) else f"<small>{low:.2f}&ndash;{high:.2f}</small>"
            count = f"{cell.cases.count} cases, {cell.objects} objects"
            line.append(f'<span title="{count}">{number}{between}</span>')
        lines.append(line)
    lines.append(["<i>cases (objects)</i>", *map(escape, table.counts())])
    gaps = _list(table.gaps())
    tests = _list(table.tested())
    below = f"<details><summary>Tests</summary>{tests}</details>" if tests else ""
    return _grid(head, lines, safe=True) + gaps + below


def _list(sentences: Sequence[str]) -> str:
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return f"<ul>{items}</ul>" if items else ""


def _beside(deltas: Sequence[Delta]) -> str:
    """The paper's cases are not these: a difference is of cases as well as of models."""
    lines = [
        [f"Table {d.published.table}", d.published.modality, d.published.model, d.published.init,
         d.published.metric.upper(), f"{d.published.value:.4f}", f"{d.measured:.4f}",
         f"{d.difference:+.4f}", str(d.cases)]
        for d in deltas
    ]  # fmt: skip
    head = ["", "", "", "first mask", "", "paper", "here", "difference", "cases here"]
    return _grid(head, lines)


def _costs(rows: Sequence[Measurement]) -> str:
    """What models of their real size take; what they find means nothing, and is not shown."""
    lines = []
    for kind, model in sorted({(row.kind, row.model) for row in rows}):
        here = [row for row in rows if (row.kind, row.model) == (kind, model)]
        seconds = {row.case: row.seconds for row in here}
        gib = max(row.peak_bytes for row in here) / 2**30
        median = f"{np.median(list(seconds.values())):.3g} s"
        lines.append([KINDS[kind], model, here[0].device, str(len(seconds)), median,
                      f"{gib:.1f} GiB"])  # fmt: skip
    words = "<p>They show that a model runs, and what it takes. They are in no table.</p>"
    return words + _grid(["", "", "on", "cases", "a case (median)", "peak memory"], lines)


def _plot(words: str, path: Path) -> str:
    with Pillow.open(path) as picture:
        width = round(picture.width * _SHOWN_DPI / DPI)
    return (
        f'<figure><img width="{width}" alt="{escape(words)}" '
        f'src="{_embedded(path.read_bytes(), "png")}">'
        f"<figcaption>{escape(words)}</figcaption></figure>"
    )


def _gallery(shown: Sequence[Shown]) -> str:
    parts = [f"<p>{_SIDES}</p>"]
    for kind, words in KINDS.items():
        for model in dict.fromkeys(one.model for one in shown if one.kind == kind):
            here = [one for one in shown if (one.kind, one.model) == (kind, model)]
            cards = "".join(map(_card, here))
            parts.append(f'<h3>{words}: {escape(model)}</h3><div class="cards">{cards}</div>')
    return "\n".join(parts)


def _card(one: Shown) -> str:
    out = io.BytesIO()
    Pillow.fromarray(one.picture).save(out, "JPEG", quality=85)
    words = f"{one.modality}, {one.rank}: {one.model}, DSC {one.dsc:.3f}"
    unit = {"2d": "", "3d": f", slice {one.index}", "video": f", frame {one.index}"}[one.kind]
    return (
        f'<figure class="card"><img loading="lazy" alt="{escape(words)}: {escape(one.case)}" '
        f'src="{_embedded(out.getvalue(), "jpeg")}"><figcaption><b>{escape(one.modality)}</b> '
        f"{one.rank}, DSC <b>{one.dsc:.3f}</b><br><small>{escape(one.case)}{unit}</small>"
        "</figcaption></figure>"
    )


def _data(rows: Sequence[Measurement], manifest: Manifest) -> str:
    measured = {row.case_key for row in rows}
    counts = Counter(
        (case.dataset or "not stated", case.licence or "not stated", case.modality)
        for case in manifest
        if case.key in measured
    )
    lines = [[*about, str(count)] for about, count in sorted(counts.items())]
    key = f"<p>Manifest {manifest.key}</p>"
    return _grid(["data set", "licence", "modality", "cases"], lines) + key


def _lost(rows: Sequence[Measurement]) -> str:
    lines = [[row.model, row.case, row.status, row.reason] for row in rows[:_LISTED]]
    more = f"<p>And {len(rows) - _LISTED} more.</p>" if len(rows) > _LISTED else ""
    return _grid(["model", "case", "", "why"], lines) + more


def _how(rows: Sequence[Measurement]) -> str:
    models = sorted({(row.model, row.model_key, row.model_json, row.device) for row in rows})
    protocols = sorted({(row.protocol, row.protocol_key, row.protocol_json) for row in rows})
    versions = ", ".join(sorted({row.version for row in rows}))
    return (
        f"<p>medsegany {escape(versions)}</p>"
        + _grid(["model", "key", "loaded by", "on"], models)
        + _grid(["protocol", "key", "which says"], protocols)
    )


def _grid(head: Sequence[str], lines: Iterable[Sequence[str]], *, safe: bool = False) -> str:
    def word(text: str) -> str:
        return text if safe else escape(text)

    top = "".join(f"<th>{escape(text)}</th>" for text in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{word(text)}</td>" for text in line) + "</tr>" for line in lines
    )
    return (
        f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _embedded(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
:root { color-scheme: light; --line: #d9dee5; --soft: #667085; --accent: #0072b2; }
body { font: 15px/1.5 system-ui, sans-serif; color: #1d2939; background: #fff;
       max-width: 1180px; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.7rem; margin: 0 0 .2rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .4rem; }
h2 { font-size: 1.15rem; margin: 2.4rem 0 .6rem; border-bottom: 2px solid var(--accent);
     padding-bottom: .25rem; }
p.lead { color: var(--soft); margin: 0; }
.wide { overflow-x: auto; margin: .6rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .35rem .8rem .35rem 0; vertical-align: top; }
th { color: var(--soft); font-weight: 600; font-size: .85rem;
     border-bottom: 1px solid var(--line); }
tbody tr + tr td { border-top: 1px solid var(--line); }
td small { display: block; white-space: nowrap; color: var(--soft); font-size: .78rem; }
figure { margin: 1rem 0; }
figure img { max-width: 100%; height: auto; }
figcaption { color: var(--soft); font-size: .88rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(330px, 1fr)); gap: 1rem; }
.card { margin: 0; border: 1px solid var(--line); border-radius: 8px; overflow: hidden; }
.card img { display: block; width: 100%; }
.card figcaption { padding: .4rem .7rem .6rem; }
.card small { overflow-wrap: anywhere; }
details { margin-top: .4rem; color: var(--soft); }
</style>
</head>
<body>
<h1>$title</h1>
<p class="lead">Written by medsegany. For research; not for clinical use.</p>
$body
</body>
</html>
""")
