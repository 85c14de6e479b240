"""The picture of docs/results.md: normalised regret of each way of choosing, sweep by sweep."""

from collections.abc import Sequence
from html import escape
from statistics import fmean

from pools import METHODS, Pool
from verdict import BASELINES, verdicts

_COLOURS = dict(zip(METHODS, ("#1f83cc", "#d55e00", "#009e73", "#9a60b4", "#c4a000"), strict=True))
_SHAPES = {
    "digits": '<circle cx="{x}" cy="{y}" r="4.5" fill="{ink}"/>',
    "fashion": '<circle cx="{x}" cy="{y}" r="4" fill="none" stroke="{ink}" stroke-width="2"/>',
    "cifar": '<path d="M{x} {y}m-4.2 -4.2h8.4v8.4h-8.4z" fill="{ink}"/>',
    "long": '<path d="M{x} {y}m-3.7 -3.7h7.4v7.4h-7.4z" fill="none" stroke="{ink}" stroke-width="2"/>',
}
_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#222}.grid{stroke:#ddd}.mean{stroke:#222;stroke-width:2}"
    ".back{fill:#fff}@media(prefers-color-scheme:dark){text{fill:#ddd}.grid{stroke:#444}"
    ".mean{stroke:#ddd}.back{fill:#111}}"
)
_LEFT, _STEP, _WIDTH = 200, 21, 760


def picture(pools: Sequence[Pool]) -> str:
    """Normalised regret of each way of choosing: a line each, a mark per sweep, a stroke at the mean."""
    rows = sorted(verdicts([pool.group for pool in pools]), key=lambda one: fmean(one.normalised))
    top = 36 + 20 * -(-len(pools) // 3)  # below the legend, three sweeps per line
    bottom = top + _STEP * len(rows)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {bottom + 46}" role="img">',
        "<title>Normalised regret of each way to choose a run without labels</title>",
        f'<style>{_STYLE}</style><rect class="back" width="{_WIDTH}" height="{bottom + 46}"/>',
    ]
    for place, pool in enumerate(pools):
        x, y = 24 + 245 * (place % 3), 14 + 20 * (place // 3)
        parts += [_mark(pool, x, y), f'<text x="{x + 10}" y="{y + 4}">{escape(pool.title)}</text>']
    for tick in (0, 0.2, 0.4, 0.6, 0.8, 1):
        parts.append(f'<line class="grid" x1="{_x(tick)}" x2="{_x(tick)}" y1="{top - 12}" y2="{bottom}"/>')
        parts.append(f'<text x="{_x(tick)}" y="{bottom + 16}" text-anchor="middle">{tick:g}</text>')
    label = "normalised regret: 0 the best configuration, 1 the worst (stroke: mean)"
    parts.append(f'<text x="{_WIDTH / 2:g}" y="{bottom + 36}" text-anchor="middle">{label}</text>')
    for place, one in enumerate(rows):
        y, mean = top + _STEP * place, _x(fmean(one.normalised))
        slant = ' font-style="italic"' if one.name in BASELINES.values() else ""
        parts.append(f'<text x="{_LEFT - 14}" y="{y + 4}" text-anchor="end"{slant}>{escape(one.name)}</text>')
        parts.append(f'<line class="grid" x1="{_x(0)}" x2="{_x(1)}" y1="{y}" y2="{y}"/>')
        parts += [_mark(pool, _x(share), y) for pool, share in zip(pools, one.normalised, strict=True)]
        parts.append(f'<line class="mean" x1="{mean}" x2="{mean}" y1="{y - 8}" y2="{y + 8}"/>')
    return "\n".join([*parts, "</svg>\n"])


def _mark(pool: Pool, x: float, y: float) -> str:
    return _SHAPES.get(pool.data, _SHAPES["cifar"]).format(x=x, y=y, ink=_COLOURS[pool.method])


def _x(share: float) -> float:
    return round(_LEFT + share * (_WIDTH - _LEFT - 20), 1)
