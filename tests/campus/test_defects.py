"""The simulation finds planted mistakes, each within a few seeds."""

from contextlib import ExitStack

import pytest

from tests.campus.defects import DEFECTS, Defect
from tests.campus.replay import report
from tests.campus.scenario import CELLS, plan_of, storm_of
from tests.campus.world import run_world


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_a_planted_mistake_is_found(defect: Defect) -> None:
    at = CELLS.index(defect.cell)
    for seed in range(at, at + defect.seeds * len(CELLS), len(CELLS)):
        plan = defect.plan(plan_of(seed))
        with ExitStack() as stack:
            for patch in defect.patches():
                stack.enter_context(patch)
            outcome = run_world(seed, plan, storm_of(plan))
        if outcome.broken:
            assert defect.says in outcome.broken[0]
            assert f"python -m tests.campus.replay {seed} --trace" in report(outcome)
            return
    pytest.fail(f"{defect.seeds} seeds found nothing wrong")
