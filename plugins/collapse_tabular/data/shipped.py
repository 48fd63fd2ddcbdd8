"""The tables that come with scikit-learn: measurements, and a class that a prompt says."""

from collections.abc import Sequence
from functools import cache
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import MaxLen
from pydantic import field_validator

from collapse_core import CollapseError
from collapse_tabular.data.conditions import Condition, Row
from collapse_tabular.data.table import Table


class _Shipped(Table):
    """A prompt says the class; the measurements are drawn."""

    LOADER: ClassVar[str]
    CLASSES: ClassVar[tuple[int | str, ...]]

    def rows(self) -> Sequence[Row]:
        """Return the measurements and the class."""
        return _loaded(self.LOADER, self.CLASSES)

    def said(self) -> tuple[str, ...]:
        """Return the class."""
        return ("class",)

    def drawn(self) -> tuple[str, ...]:
        """Return the measurements, and the class where no prompt says it."""
        return tuple(column for column in self.rows()[0] if column not in self.said())

    def label(self) -> str:
        """Return the class."""
        return "class"

    def subgroup(self) -> Sequence[Condition]:
        """Return one class."""
        return [Condition(column="class", value=self._forgotten())]

    def _forgotten(self) -> int | str:
        raise NotImplementedError

    @field_validator("forget", check_fields=False)
    @classmethod
    def _a_class_there_is(cls, value: int | str) -> int | str:
        if value not in cls.CLASSES:
            raise ValueError(f"expected one of {', '.join(map(str, cls.CLASSES))}")
        return value


class Wine(_Shipped):
    """178 wines by 13 chemical measurements, from three cultivars (scikit-learn's `load_wine`)."""

    provides: ClassVar[str] = "rows"

    LOADER: ClassVar[str] = "load_wine"
    CLASSES: ClassVar[tuple[int | str, ...]] = (0, 1, 2)

    forget: int = 1
    """The cultivar that is forgotten."""

    def _forgotten(self) -> int:
        return self.forget


class _Named(_Shipped):
    """Its classes are texts, so the model can draw them as a column of categories."""

    prompt: Annotated[list[Literal["class"]], MaxLen(1)] = ["class"]
    """What a prompt says; with [] nothing, and the class is drawn like any other column."""

    def said(self) -> tuple[str, ...]:
        """Return the class, or nothing."""
        return tuple(self.prompt)


class Iris(_Named):
    """150 irises by four measurements, of three species (scikit-learn's `load_iris`)."""

    provides: ClassVar[str] = "rows"

    LOADER: ClassVar[str] = "load_iris"
    CLASSES: ClassVar[tuple[int | str, ...]] = ("setosa", "versicolor", "virginica")

    forget: str = "versicolor"
    """The species that is forgotten."""

    def _forgotten(self) -> str:
        return self.forget


class BreastCancer(_Named):
    """569 tumors by 30 measurements, malignant or benign (scikit-learn's `load_breast_cancer`)."""

    provides: ClassVar[str] = "rows"

    LOADER: ClassVar[str] = "load_breast_cancer"
    CLASSES: ClassVar[tuple[int | str, ...]] = ("malignant", "benign")

    forget: str = "malignant"
    """The diagnosis that is forgotten."""

    def _forgotten(self) -> str:
        return self.forget


@cache
def _loaded(name: str, classes: tuple[int | str, ...]) -> Sequence[Row]:
    try:
        from sklearn import datasets
    except ImportError:
        raise CollapseError(
            "the tables of scikit-learn need it; install it with pip install 'collapse-unlearning[tabular]'"
        ) from None
    found: Any = getattr(datasets, name)()
    return [
        dict(zip(map(str, found.feature_names), map(float, values), strict=True)) | {"class": classes[kind]}
        for values, kind in zip(found.data, found.target, strict=True)
    ]
