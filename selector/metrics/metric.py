"""A metric as data, and the registry: `label_free` and `labelled` make a function a metric.

    @label_free(reads="backbone_spectrum", symbol="NESum", formula="Σ λ / λ_1", direction="max", …)
    def nesum(embeddings): …

The W&B key, the table of metrics, what `evaluate` computes, the definition and the property tests follow.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from selector.errors import UserError
from selector.text import nearest

Direction = Literal["max", "min"]

# W&B keys: label_free/rankme, labelled/knn_accuracy, noise/entropy, spectrum/backbone.
LABEL_FREE_PREFIX = "label_free/"
LABELLED_PREFIX = "labelled/"
NOISE_PREFIX = "noise/"
SPECTRUM_PREFIX = "spectrum/"
# No run logs this one: selection puts a run's place among the others into the rows at hand.
CONSENSUS_KEY = LABEL_FREE_PREFIX + "consensus"

AUGMENTATIONS = (
    *("crop_scale_min", "flip_probability", "jitter_strength", "jitter_probability"),
    *("grayscale_probability", "blur_probability", "rotation_degrees"),
)
SAME_TRAINING = ("method", "dataset", "backbone", "backbone_width")
# The fields of `comparable` that are found in the run's config; the others are in its metric definition.
CONFIG_FIELDS = frozenset({*SAME_TRAINING, *AUGMENTATIONS})

_OF_UMAP = ("neighbors", "seeds", "components", "min_dist", "metric", "engine")
# Fields of the definition that metrics of several spaces depend on.
OF_UMAP = tuple(f"umap_{field}" for field in _OF_UMAP)
OF_CLUSTERS = (*OF_UMAP, "clusters", "kmeans_restarts")
OF_SUBSET = ("pairwise_max_images", "pairwise_seed")


@dataclass(frozen=True)
class Place:
    """Where metrics are computed: its name in a few words, and what follows from it for each `Metric`."""

    name: str
    comparable: tuple[str, ...]
    settings: tuple[str, ...] = ()


BACKBONE = Place("backbone, evaluation split", (*SAME_TRAINING, "backbone_dim", "evaluation_images"))
Z3 = Place("3-d UMAP of the backbone, evaluation split", BACKBONE.comparable, OF_UMAP)
PROJECTOR = Place(
    "projector, training split", (*SAME_TRAINING, "projector_dim", "rankme_images"), ("rankme_split",)
)
# Views that differ less are easier to bring together: another augmentation is another task.
VIEWS = Place(
    "projector, views of training images",
    (*SAME_TRAINING, "projector_dim", "lidar_images", "lidar_views", *AUGMENTATIONS),
    ("view_source",),
)
# Accuracies of unlike methods and encoders may be compared: that is what they are for.
TEST = Place(BACKBONE.name, ("dataset", "evaluation_images"))


class UnknownDirection(UserError):
    """It is not known which way a metric is better for a method."""


@dataclass(frozen=True)
class Metric:
    """One number of a milestone.

    Attributes:
        name: Last part of the W&B key.
        symbol: How its paper writes it.
        meaning: One line for people who have not read the paper, which begins the function's docstring.
        formula: Its definition.
        space: Where it is computed.
        direction: Which way is better when a method is not named in `direction_for`; None where that is not
            known.
        cost: What it takes, in a few words.
        source: Paper and equation or section.
        direction_for: Methods for which the direction differs, by name.
        comparable: Fields that two runs must share before their values may be compared: of the run's config
            (method, dataset, backbone, …) and of its metric definition (the rest).
        settings: Fields of the metric definition that the value depends on beyond those, and that not every
            metric depends on; runs that differ there are refused.
        logged_as: W&B key of a metric that somebody else's script logged, or "" for our own.
    """

    name: str
    symbol: str
    meaning: str
    formula: str
    space: str
    direction: Direction | None
    cost: str
    source: str
    direction_for: Mapping[str, Direction] = field(default_factory=dict)
    comparable: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    logged_as: str = ""

    @property
    def ways(self) -> tuple[Direction, Mapping[str, Direction]]:
        """The direction for most methods, and the exceptions by method: for tables."""
        known = list(self.direction_for.values())
        most = self.direction or ("max" if 2 * known.count("max") > len(known) else "min")
        return most, {method: way for method, way in self.direction_for.items() if way != most}

    def direction_in(self, method: object) -> Direction:
        """The better direction for runs of `method`; in other people's configs it may be anything.

        Raises:
            UnknownDirection: It is not known for that method.
        """
        known = self.direction_for.get(method) if isinstance(method, str) else None
        direction = known or self.direction
        if direction is None:
            ways = ", ".join(f"{name} {way}" for name, way in self.direction_for.items())
            raise UnknownDirection(
                f"which way {self.name} is better is not known for method {str(method)[:60]!r}, only for"
                f" {ways}: use another metric, or pass --direction max or --direction min"
            )
        return direction


@dataclass(frozen=True)
class LabelFreeMetric(Metric):
    """A metric that sees no label: the only kind that `rank` accepts.

    Attributes:
        parts: W&B keys of the metrics that it is made of when runs are ranked, or none for what runs log.
    """

    parts: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The W&B history key."""
        return self.logged_as or LABEL_FREE_PREFIX + self.name


@dataclass(frozen=True)
class LabelledMetric(Metric):
    """A metric that reads labels: for `regret` and `correlate` alone."""

    @property
    def key(self) -> str:
        """The W&B history key."""
        return self.logged_as or LABELLED_PREFIX + self.name


@dataclass(frozen=True)
class Registered:
    """A metric and how `evaluate` computes it.

    Attributes:
        metric: The metric as data.
        function: Arrays in, a float out.
        family: Name of the module that it is in, by which several metrics can be chosen.
        reads: Names of the properties of `Inputs` that are its arguments. Where one is None it is left out;
            where one holds a value per UMAP seed, the figure is the mean over the seeds.
        shared: Property of `Inputs` that holds the value itself, where the work serves several metrics.
        instead: Property of `Inputs` → value that stands where the property is true: an encoder that has
            collapsed must not win by the best of all values.
        defaults: Fields of the definition: the keyword defaults of the functions that compute it.
    """

    metric: LabelFreeMetric | LabelledMetric
    function: Callable[..., float]
    family: str
    reads: tuple[str, ...]
    shared: str
    instead: Mapping[str, float]
    defaults: Mapping[str, Any]

    @property
    def properties(self) -> frozenset[str]:
        """All properties of `Inputs` that it may read."""
        return frozenset({*self.reads, *self.instead, self.shared} - {""})


_Function = TypeVar("_Function", bound=Callable[..., float])
_Metric = TypeVar("_Metric", bound=Metric)
_registry: dict[str, Registered] = {}
# Families that tables show first; all others follow by name, and need not stand here.
_FIRST = ("spectral", "entropy", "probes", "clusters", "geometry", "clid", "idest", "views")


def label_free(**metric: Any) -> Callable[[_Function], _Function]:
    """Make a function a label-free metric; see `_register` for the arguments."""
    return lambda function: _register(LabelFreeMetric, function, **metric)


def labelled(**metric: Any) -> Callable[[_Function], _Function]:
    """Make a function a metric that reads labels; see `_register` for the arguments."""
    return lambda function: _register(LabelledMetric, function, **metric)


def _register(
    kind: type[LabelFreeMetric] | type[LabelledMetric],
    function: _Function,
    *,
    space: Place,
    reads: str | tuple[str, ...] = (),
    name: str = "",
    meaning: str = "",
    prefix: str = "",
    also: Mapping[str, Callable[..., Any]] | None = None,
    shared: str = "",
    instead: Mapping[str, float] | None = None,
    settings: tuple[str, ...] = (),
    **metric: Any,
) -> _Function:
    """Register a function, and return it unchanged.

    Args:
        kind: Of the metric.
        function: Its keyword-only defaults are fields of the definition, named <prefix>_<keyword>. Its
            docstring begins with the meaning of the metric; the facts given here are appended to it.
        space: Says what two runs must share.
        reads: See `Registered`; where it is left out, it is what `shared` names.
        name: Of the metric; "" takes the function's.
        meaning: Where it is not the first line of the docstring.
        prefix: See `function`; "" takes the function's name.
        also: More functions whose keyword-only defaults belong to the definition, by prefix.
        shared: See `Registered`.
        instead: See `Registered`.
        settings: Fields of the definition that the value depends on, beside those of the space.
        metric: The other attributes of `Metric`.
    """
    name, doc = name or function.__name__, function.__doc__ or ""
    parts: dict[str, Callable[..., Any]] = {prefix or function.__name__: function, **(also or {})}
    defaults = {
        f"{start}_{keyword}": value
        for start, part in parts.items()
        for keyword, value in (inspect.getfullargspec(part).kwonlydefaults or {}).items()
        if value is not None
    }
    declared = kind(
        name=name,
        meaning=meaning or doc.partition("\n")[0],
        space=space.name,
        comparable=space.comparable,
        settings=tuple(dict.fromkeys((*space.settings, *settings, *defaults))),
        **metric,
    )
    if all(one.function is not function for one in _registry.values()):
        better = {"max": "higher is better", "min": "lower is better", None: "see direction_for"}
        said = f"{declared.formula}; {better[declared.direction]}.\n\n    Source: {declared.source}."
        function.__doc__ = f"{doc.rstrip()}\n\n    {said}\n"
    family = function.__module__.rpartition(".")[2]
    reads = (reads,) if isinstance(reads, str) else reads or (shared,)
    _registry[name] = Registered(declared, function, family, reads, shared, instead or {}, defaults)
    return function


def registered() -> tuple[Registered, ...]:
    """All metrics, label-free ones first; of several on one function the one next to it comes first."""
    first = {family: place for place, family in enumerate(_FIRST)}

    def place(one: Registered) -> tuple[bool, int, str]:
        return isinstance(one.metric, LabelledMetric), first.get(one.family, len(first)), one.family

    return tuple(sorted(_registry.values(), key=place))


def chosen(names: Iterable[str]) -> tuple[Registered, ...]:
    """The metrics of these names or families, in the order of the registry; all where there are no names.

    Raises:
        ValueError: A name is neither a metric nor a family.
    """
    names = tuple(names)
    known = registered()
    families = dict.fromkeys(one.family for one in known)
    for name in names:
        if name not in families and name not in _registry:
            raise ValueError(
                f"unknown metric or family '{name}'{nearest(name, [*families, *_registry])}"
                f" (families: {', '.join(families)})"
            )
    return tuple(one for one in known if not names or one.family in names or one.metric.name in names)


def label_free_metric(name: str) -> LabelFreeMetric:
    """The label-free metric of that name; "label_free/" before it does no harm.

    Raises:
        UserError: No such name, or the name of a metric that reads labels.
    """
    known = _by_name(LabelFreeMetric)
    own = name.removeprefix(LABEL_FREE_PREFIX)
    if own not in known and name.removeprefix(LABELLED_PREFIX) in _by_name(LabelledMetric):
        raise UserError(f"'{name}' reads labels, and choosing must not: use one of {', '.join(known)}")
    return _found(known, own, f"unknown metric '{name}'")


def labelled_metric(name: str) -> LabelledMetric:
    """The labelled metric of that name; "labelled/" before it does no harm.

    Raises:
        UserError: No such name.
    """
    own = name.removeprefix(LABELLED_PREFIX)
    return _found(_by_name(LabelledMetric), own, f"unknown labelled metric '{name}'")


def _by_name(kind: type[_Metric]) -> dict[str, _Metric]:
    return {one.metric.name: one.metric for one in registered() if isinstance(one.metric, kind)}


def _found(known: Mapping[str, _Metric], name: str, otherwise: str) -> _Metric:
    if name not in known:
        raise UserError(f"{otherwise}{nearest(name, known)} (one of {', '.join(known)})")
    return known[name]


_DECLARED: dict[str, Any] = {
    "meaning": "logged by another script",
    "formula": "unknown",
    "space": "unknown",
    "cost": "unknown",
    "source": "logged by another script",
}


def declared_label_free(key: str, direction: Direction) -> LabelFreeMetric:
    """A metric of somebody else's script, logged under `key`, that the user declares to read no label."""
    return LabelFreeMetric(
        key, key, direction=direction, comparable=SAME_TRAINING, logged_as=key, **_DECLARED
    )


def declared_labelled(key: str, direction: Direction = "max") -> LabelledMetric:
    """A metric of somebody else's script, logged under `key`, by which the user judges a choice."""
    return LabelledMetric(key, key, direction=direction, comparable=("dataset",), logged_as=key, **_DECLARED)
