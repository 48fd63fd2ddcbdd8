"""What every part of a recipe is: a frozen pydantic model with documented fields."""

from pydantic import BaseModel, ConfigDict

from collapse_core.runtime.digests import digest


class Settings(BaseModel):
    """A mapping in a recipe: unknown keys are errors, and nothing changes once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)

    def digest(self) -> str:
        """A short digest of every field, defaults included."""
        return digest(self.model_dump(mode="json"))


class Component(Settings):
    """A part that a recipe can name with `use:`; its other keys are the part's fields.

    A component is light: importing one and validating its fields loads no heavy library. It holds
    settings, never state; what must be remembered lives in the model and in the state of the run.
    """

    use: str = ""
    """The name that the recipe chose the part by."""
