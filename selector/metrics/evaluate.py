"""`evaluate`: the chosen metrics of one encoder."""

from collections.abc import Callable

import numpy as np

from selector.metrics.arrays import Space, TooFew, Undefined
from selector.metrics.inputs import Inputs, PerSeed
from selector.metrics.metric import NOISE_PREFIX, Registered
from selector.metrics.spectrum import Spectrum, logged_spectrum
from selector.milestone import BOOTSTRAP_PREFIX, CORRECT_PREFIX, Milestone, correct_text

# What of `Inputs` takes most of the time of a step, by its name; all other metrics are one step more.
_STEPS = {
    "spectra": ("backbone_spectrum", "projector_spectrum"),
    "UMAP": ("points",),
    "clusters": ("clusters", "finer_clusters", "silhouette_of_labels"),
    "linear probe": ("probed", "train_backbone"),
    "pretext": ("rotation_accuracy", "retrieval", "hog_r2", "pretext"),
}


def evaluate(epoch: int, inputs: Inputs, at: Callable[[str], None] = lambda _step: None) -> Milestone:
    """The chosen metrics of one encoder. Neither reads nor changes any global random state.

    A metric that these embeddings do not allow (no labels, no views, too few images or dimensions) is left
    out. A metric that they leave undefined is NaN, and is never chosen: where all images are equal there is
    nothing to lay out, to cluster or to span, so that a collapsed run cannot win by the entropy 0 or the
    agreement 1 of a single point. The other metrics of collapsed embeddings have the worst of their values.
    `inputs.definition` says how the metrics are computed; `inputs.points` are the UMAP points.

    Args:
        epoch: Epochs trained.
        inputs: Embeddings, and what was chosen.
        at: Called with the name of each step before it: "spectra", "UMAP", "clusters", "linear probe",
            "pretext", "other metrics"; the default does nothing.

    Returns:
        Means over the UMAP seeds, where UMAP has a part in them, and under `noise/` the standard deviation
        (divisor S - 1) of one seed's value over S seeds; the mean's standard error is that over √S.

    Raises:
        ValueError: Embeddings that are not finite; or labels, and a probe that was asked for, but not what it
            learns from.
    """
    values: dict[str, float] = {}
    noise: dict[str, float] = {}
    steps: dict[str, list[Registered]] = {step: [] for step in (*_STEPS, "other metrics")}
    for one in inputs.settings.chosen:
        steps[_step(one)].append(one)
    for step, metrics in steps.items():
        if metrics:
            at(step)
        for one in metrics:
            found = _computed(one, inputs)
            if found:
                values[one.metric.key] = float(np.mean(found))
            if len(found) > 1:
                noise[NOISE_PREFIX + one.metric.name] = float(np.std(found, ddof=1))
    texts = {}
    if inputs.settings.reads("probed") and inputs.probed is not None:
        texts[CORRECT_PREFIX + "linear_probe_accuracy"] = correct_text(inputs.probed)
    return Milestone(epoch, values | noise, _lists(inputs), texts)


def _lists(inputs: Inputs) -> dict[str, tuple[float, ...]]:
    """The spectra that a chosen metric reads, and the pretext score on resampled images."""
    spectra: dict[Space, Spectrum | None] = {}
    if inputs.settings.reads("backbone_spectrum"):
        spectra["backbone"] = inputs.backbone_spectrum
    if inputs.settings.reads("projector_spectrum"):
        spectra |= {"projector": inputs.projector_spectrum, "predictor": inputs.predictor_spectrum}
    lists: dict[str, tuple[float, ...]] = {}
    for space, spectrum in spectra.items():
        if spectrum is not None:
            lists |= logged_spectrum(space, spectrum.centred)
    if inputs.settings.reads("pretext") and inputs.questions is not None:
        scores = tuple(float(f"{score:.5g}") for score in inputs.pretext_resamples)
        lists[BOOTSTRAP_PREFIX + "pretext_score"] = scores
    return lists


def _step(one: Registered) -> str:
    """The last of the steps that a metric has to wait for."""
    waits = [step for step, properties in _STEPS.items() if not one.properties.isdisjoint(properties)]
    return waits[-1] if waits else "other metrics"


def _computed(one: Registered, inputs: Inputs) -> list[float]:
    """One value, or one per UMAP seed, or none."""
    if any(getattr(inputs, name) is None for name in one.reads):
        return []
    for property, value in one.instead.items():
        if getattr(inputs, property):
            return [value]
    if one.shared:
        shared = getattr(inputs, one.shared)
        return list(shared) if isinstance(shared, PerSeed) else [shared]
    arguments = [getattr(inputs, name) for name in one.reads]
    seeds = max((len(argument) for argument in arguments if isinstance(argument, PerSeed)), default=1)
    options = {}
    if "entropy_bin_width" in one.defaults:  # the one keyword that can be chosen
        options["bin_width"] = inputs.settings.entropy_bin_width
    try:
        return [
            one.function(*(a[seed] if isinstance(a, PerSeed) else a for a in arguments), **options)
            for seed in range(seeds)
        ]
    except TooFew:
        return []
    except Undefined:
        return [float("nan")]
