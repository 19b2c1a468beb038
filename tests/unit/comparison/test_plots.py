"""Charts of a page: what is drawn is what was measured."""

import pytest

from wordseq.comparison.page import plots


def test_an_interval_is_drawn_from_its_lower_to_its_upper_end():
    from matplotlib.figure import Figure

    axes = Figure().add_subplot()
    scores = [(30.0, (20.0, 31.0)), (40.0, (39.5, 60.0))]
    rows = [{"name": f"run {k}", "bleu": {"name": "BLEU", "score": s, "ci95": ci}} for k, (s, ci) in enumerate(scores)]
    plots.draw_intervals(axes, rows, "bleu")
    drawn = [bar.get_segments()[0] for container in axes.containers for bar in container[2]]
    assert [[x for x, _ in ends] for ends in drawn] == [pytest.approx(ci) for _, ci in scores]
    assert [y for ends in drawn for _, y in ends] == [0, 0, 1, 1]
