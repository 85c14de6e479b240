from selector.runs import Milestone, Run

MILESTONES = (Milestone(0, {}), Milestone(5, {}))


def test_the_untrained_network_is_no_trained_milestone():
    run = Run("x", "x", "finished", {}, {}, MILESTONES)
    assert [milestone.epoch for milestone in run.trained_milestones] == [5]


def test_step_zero_is_a_trained_milestone():
    for axis in ("_step", "trainer/global_step"):
        run = Run("x", "x", "finished", {}, {}, MILESTONES, counted_by=axis)
        assert run.trained_milestones == MILESTONES
