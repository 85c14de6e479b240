"""A picture for docs/results.md: what choosing by each metric cost in each study. Rows first, ink second."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from statistics import fmean

from selector.selection.regret import RegretGroup

# Nearly Okabe & Ito's colours, which the colour-blind can tell apart on white and black, and a shape each.
_MARKS = {
    "simclr": ("#1f83cc", '<circle cx="{x}" cy="{y}" r="4.5" {ink}/>'),
    "simsiam": ("#d55e00", '<path d="M{x} {y}m-4.2 -4.2h8.4v8.4h-8.4z" {ink}/>'),
    "moco_v2": ("#009e73", '<path d="M{x} {y}m0 -5.2l5 9h-10z" {ink}/>'),
}
_LEFT, _RIGHT, _TOP, _STEP, _WIDTH = 190, 20, 62, 21, 760
_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#222}.grid{stroke:#ddd}.mean{stroke:#222;stroke-width:2}"
    ".back{fill:#fff}@media(prefers-color-scheme:dark){text{fill:#ddd}.grid{stroke:#444}"
    ".mean{stroke:#ddd}.back{fill:#111}}"
)


@dataclass(frozen=True)
class FigureRow:
    """One way to choose, and its normalised regret (0: the best run, 1: the worst) in each study."""

    name: str
    regrets: Mapping[str, float]

    @property
    def mean(self) -> float:
        """Over the studies in which it could choose."""
        return fmean(self.regrets.values())


def figure_rows(groups: Mapping[str, RegretGroup]) -> list[FigureRow]:
    """Metrics defined in every study, a random choice and the lowest loss; the best mean first."""
    found: dict[str, dict[str, float]] = {}
    for study, group in groups.items():
        for one in group.metrics:
            if one.normalised is not None:
                found.setdefault(one.metric.name, {})[study] = one.normalised
        for baseline in group.baselines:
            if baseline.name in ("random", "lowest_loss") and baseline.regret is not None:
                spread = group.best.accuracy - min(judged.accuracy for judged in group.judged)
                title = baseline.name.replace("_", " ")
                found.setdefault(title, {})[study] = baseline.regret / spread
    rows = [FigureRow(name, regrets) for name, regrets in found.items() if len(regrets) == len(groups)]
    return sorted(rows, key=lambda row: (row.mean, row.name))


def svg(rows: Sequence[FigureRow], titles: Mapping[str, str]) -> str:
    """The picture: a line a row, a mark a study, a stroke at the mean. Hollow: Fashion-MNIST."""
    bottom = _TOP + _STEP * len(rows)
    height = bottom + 46
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">',
        "<title>Normalised regret of each way to choose a run without labels</title>",
        f'<style>{_STYLE}</style><rect class="back" width="{_WIDTH}" height="{height}"/>',
        *_legend(titles),
    ]
    for tick in (0, 0.2, 0.4, 0.6, 0.8, 1):
        x = _x(tick)
        parts.append(f'<line class="grid" x1="{x}" x2="{x}" y1="{_TOP - 12}" y2="{bottom}"/>')
        parts.append(f'<text x="{x}" y="{bottom + 16}" text-anchor="middle">{tick:g}</text>')
    label = "normalised regret: 0 the best run, 1 the worst (stroke: mean, dashed: mean of a random choice)"
    parts.append(f'<text x="{_WIDTH / 2:g}" y="{bottom + 36}" text-anchor="middle">{label}</text>')
    for chance in (_x(row.mean) for row in rows if row.name == "random"):
        ends = f'x1="{chance}" x2="{chance}" y1="{_TOP - 12}" y2="{bottom}"'
        parts.append(f'<line class="mean" stroke-dasharray="4" {ends}/>')
    for number, row in enumerate(rows):
        y = _TOP + _STEP * number
        slant = ' font-style="italic"' if row.name in ("random", "lowest loss") else ""
        title = escape(row.name) + (" (fitted here)" if row.name == "consensus" else "")
        parts.append(f'<text x="{_LEFT - 14}" y="{y + 4}" text-anchor="end"{slant}>{title}</text>')
        parts.append(f'<line class="grid" x1="{_x(0)}" x2="{_x(1)}" y1="{y}" y2="{y}"/>')
        parts += [_mark(study, _x(regret), y) for study, regret in row.regrets.items()]
        mean = _x(row.mean)
        parts.append(f'<line class="mean" x1="{mean}" x2="{mean}" y1="{y - 8}" y2="{y + 8}"/>')
    return "\n".join([*parts, "</svg>\n"])


def _legend(titles: Mapping[str, str]) -> list[str]:
    parts = []
    for number, (study, title) in enumerate(titles.items()):
        x, y = _LEFT + 190 * (number % 3), 14 + 20 * (number // 3)
        parts += [_mark(study, x, y), f'<text x="{x + 10}" y="{y + 4}">{escape(title)}</text>']
    return parts


def _mark(study: str, x: float, y: float) -> str:
    method, data = study.split("-")
    colour, shape = _MARKS[method]
    ink = f'fill="{colour}"' if data == "digits" else f'fill="none" stroke="{colour}" stroke-width="2"'
    return shape.format(x=x, y=y, ink=ink)


def _x(regret: float) -> float:
    return round(_LEFT + regret * (_WIDTH - _LEFT - _RIGHT), 1)
