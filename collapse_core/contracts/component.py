"""What every part of a recipe is: a frozen pydantic model with documented fields."""

from typing import ClassVar, Protocol

from pydantic import BaseModel, ConfigDict

from collapse_core.runtime.digests import digest


class Settings(BaseModel):
    """A mapping in a recipe: unknown keys are errors, and nothing changes once read."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        validate_by_name=True,  # what model_dump() calls with_ makes the same settings again
        validate_by_alias=True,
    )

    secret_fields: ClassVar[tuple[str, ...]] = ()
    """The fields that may hold what is to be forgotten, such as a ban list; `collapse scrub` empties them."""

    def digest(self) -> str:
        """A short digest of every field, defaults included."""
        return digest(self.model_dump(mode="json"))


class HasSplits(Protocol):
    """A data set, as far as it can be asked what it has."""

    def has(self, split: str) -> bool:
        """Whether a split can be loaded."""


class Component(Settings):
    """A part that a recipe can name with `use:`; its other keys are the part's fields.

    A component is light: importing one and validating its fields loads no heavy library. It holds
    settings, never state; what must be remembered lives in the model and in the state of the run.
    """

    provides: ClassVar[str] = ""
    """What a data set or a model is, in one word, for the parts that work on it; "" where it does not say."""
    works_on: ClassVar[tuple[str, ...]] = ()
    """What the part works on: kinds of model for samplers, updaters and evaluators, kinds of data for models,
    rewards and features. Empty where it works on any."""
    needs_targets: ClassVar[bool] = False
    """Whether the part needs the true answers of the forget prompts."""

    reads: ClassVar[tuple[str, ...]] = ()
    """The splits that the part may load with their true answers, for the manifest."""

    use: str = ""
    """The name that the recipe chose the part by."""

    def reads_targets(self) -> bool:
        """Whether the part, as it is set, needs the true forget answers; by default `needs_targets`."""
        return self.needs_targets

    def splits_read(self, data: HasSplits) -> list[str]:
        """The splits of a data set that the part, as it is set, loads with their true answers.

        The manifest names them. By default they are those of `reads` that there are.
        """
        return [split for split in self.reads if data.has(split)]
