"""Every evaluator is asked: what would make its numbers good by accident, and is that said?"""

import copy
import math
from collections import defaultdict

import accidents_elsewhere
import accidents_of_text
import pytest
import torch
from accidents import Accident, check

from collapse_core import CollapseError
from collapse_core.plugins.registry import Registry

pytestmark = pytest.mark.model
EVALUATORS = sorted(entry.name for _, entry in Registry().entries() if entry.kind == "evaluator")
IN_A_TEST_OF_ITS_OWN = {"lm-eval"}
"""What needs a package that is not always there; see tests/unit/llm/test_choices.py."""


@pytest.fixture(scope="module")
def by_evaluator(tmp_path_factory) -> dict[str, list[Accident]]:
    world = accidents_of_text.World(tmp_path_factory.mktemp("tiny"))
    found = defaultdict(list)
    for accident in accidents_of_text.accidents(world):
        found[accident.evaluator.use].append(accident)
    for accident in accidents_elsewhere.accidents(tmp_path_factory.mktemp("tables")):
        found[accident.evaluator.use].append(accident)
    return found


@pytest.mark.parametrize("name", [name for name in EVALUATORS if name not in IN_A_TEST_OF_ITS_OWN])
def test_what_would_make_a_number_good_by_accident_is_said(by_evaluator, name):
    assert by_evaluator[name], f"what makes the numbers of '{name}' meaningless? Add it to tests/contract"
    for accident in by_evaluator[name]:
        check(accident)


@pytest.mark.parametrize("name", ["recognition", "graph-forgetting", "node-accuracy", "table-shares"])
def test_nothing_is_measured_of_outputs_that_are_not_finite(by_evaluator, name):
    """The weights are asked before an evaluator is; here it is asked at once."""
    accident = by_evaluator[name][0]
    model = copy.deepcopy(accident.model)
    with torch.no_grad():
        for weight in model.trainable().values():
            weight.fill_(math.nan)
    with pytest.raises(CollapseError, match="that are not finite, although its weights are"):
        accident.evaluator.evaluate(model, accident.data, 0)
