"""Choosing by the pooled probe, from fingerprints that lie in the folders of runs."""

import numpy as np
import pytest
from handmade import run, sweep

from selector.commands.named import named_label_free
from selector.errors import UserError
from selector.metrics.pooled import FINGERPRINT, Fingerprint, pooled_probe
from selector.selection.pooled import POOLED, with_pooled
from selector.selection.preparation import prepared
from selector.selection.ranking import rank


def prints(*shares):
    """Fingerprints of runs that hold so large a share of what is common to all."""
    rng = np.random.default_rng(0)
    common = rng.normal(size=(300, 4))
    mixed = [share * common + (1 - share) * rng.normal(size=(300, 4)) for share in shares]
    return [Fingerprint.of(x[:200], x[200:]) for x in mixed]


def test_the_run_that_predicts_the_others_best_is_chosen():
    known = dict(zip("abcd", prints(0.2, 0.9, 0.7, 0.4), strict=True))
    asked = sweep(*map(run, "abcd"), run("other", method="simsiam"))
    runs, metrics = prepared(asked, [POOLED], fingerprint_of=lambda one: known.get(one.id))
    assert metrics == [POOLED]
    values = {one.id: one.milestones[-1].values.get(POOLED.key) for one in runs.runs}
    assert values.pop("other") is None  # may not be compared with the others, and is alone
    assert values == {
        id: pooled_probe(own, [known[other] for other in known if other != id]) for id, own in known.items()
    }
    assert values["a"] < values["d"] < values["b"]
    assert rank(runs, POOLED).groups[0].chosen.id == max(values, key=values.get)
    assert runs.warnings[-1] == "pooled_probe: 1 of 5 runs have no fingerprint and are left out"


def test_two_fingerprints_are_too_few():
    known = dict(zip("ab", prints(0.3, 0.9), strict=True))
    with pytest.raises(UserError, match="three runs or more that may be compared, and 1 of 3 have none"):
        with_pooled(sweep(*map(run, "abc")), lambda one: known.get(one.id))


def test_its_name_chooses_it():
    assert (
        named_label_free("pooled_probe", None) is named_label_free("label_free/pooled_probe", None) is POOLED
    )


def test_a_file_gives_back_what_was_written_and_damage_gives_none(tmp_path):
    (one,) = prints(0.5)
    file = tmp_path / FINGERPRINT
    file.write_bytes(one.content())
    found = Fingerprint.read(file)
    assert np.array_equal(found.train, one.train)
    assert np.array_equal(found.held_out, one.held_out)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    assert Fingerprint.read(file) is None
    assert Fingerprint.read(tmp_path / "missing.npz") is None
    np.savez(file, train=np.zeros((2, 2)), held_out=np.zeros((2, 3)))
    assert Fingerprint.read(file) is None
