"""Images to learn and to forget: with classes, or with captions."""

from collapse_diffusion.data.captions import Captions
from collapse_diffusion.data.classes import Digits, FashionMnist, LabeledImages
from collapse_diffusion.data.image_folder import ImageFolder

__all__ = ["Captions", "Digits", "FashionMnist", "ImageFolder", "LabeledImages"]
