"""Images to learn and to forget: with classes, or with captions."""

from collapse_diffusion.data.captions import Captions
from collapse_diffusion.data.classes import Digits, FashionMnist, LabeledImages

__all__ = ["Captions", "Digits", "FashionMnist", "LabeledImages"]
