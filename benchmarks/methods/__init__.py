"""All methods on the embedded default: which settings each is given, and what is measured.

Settings are chosen on the validation split, three for each method, and stand in the recipes of
recipes/compare afterwards. What is reported is measured on the split to forget, by which none was chosen.
Variants and controls of PMC differ from it in one thing, and so take the learning rate that it took.
"""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FLAGSHIP = ROOT / "recipes" / "llm_tofu_full.yaml"
"""What all of the recipes extend; its first model is the one before unlearning."""
SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Method:
    """A method to compare, and the settings it is given to choose from."""

    name: str
    stem: str
    """The name of its recipe."""
    choices: str = ""
    """A key of the recipe, and its values in turn, as `collapse sweep --set` takes them; none of variants
    and controls of PMC."""

    @property
    def recipe(self) -> Path:
        """The file of its recipe."""
        return ROOT / "recipes" / "compare" / f"{self.stem}.yaml"


SLOW = "updater.learning_rate=5e-6,1e-5,2e-5"
CAREFUL = "updater.learning_rate=2e-5,5e-5,1e-4"
USUAL = "updater.learning_rate=5e-5,1e-4,2e-4"

METHODS = (
    Method("PMC", "pmc", USUAL),
    Method("PMC, Bradley-Terry", "bradley_terry"),
    Method("PMC with alignment", "pmc_alignment"),
    Method("best of n, once", "one_shot"),
    Method("retain only", "retain_only"),
    Method("fixed refusal", "refusal", CAREFUL),
    Method("refusal from a list", "refusal_list", CAREFUL),
    Method("gradient ascent", "gradient_ascent", SLOW),
    Method("gradient difference", "gradient_difference", CAREFUL),
    Method("DPO", "dpo", CAREFUL),
    Method("NPO", "npo", CAREFUL),
    Method("SimNPO", "simnpo", CAREFUL),
    Method("RMU", "rmu", USUAL),
    Method("WGA", "wga", CAREFUL),
    Method("SatImp", "satimp", USUAL),
    Method("CE-U", "ce_u", CAREFUL),
    Method("UNDIAL", "undial", USUAL),
    Method("JensUn", "jensun", USUAL),
    Method("PDU", "pdu", CAREFUL),
    Method("AltPO", "altpo", CAREFUL),
    Method("guided, true answers", "guided_target", CAREFUL),
)

GUIDED = (
    Method("PMC, content-distance", "guided_content"),
    Method("PMC, fluency", "guided_fluency"),
    Method("PMC, alignment and refusal-likeness", "guided_refusal"),
)
"""PMC with another reward added."""
