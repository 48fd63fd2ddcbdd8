"""Loading a model of rows: exported before, taught and cached, as its recipe says."""

from pathlib import Path

from collapse_core import CollapseError, Dataset, derive_seed, environment
from collapse_core.torch import pick_device, seeded, taught
from collapse_tabular.model import RowDiffusion, TeachRows
from collapse_tabular.model.codec import Codec
from collapse_tabular.model.row_model import RowModel, open_exported
from collapse_tabular.model.training import teach


def load_row_model(loader: RowDiffusion, data: Dataset, seed: int) -> RowModel:
    """Load what a recipe describes; teaching is cached."""
    if loader.teach is None and loader.path is None:
        raise CollapseError(
            "the model 'row-diffusion' is neither taught nor read from anywhere; give it 'teach' or 'path'"
        )
    directory = _taught(loader, loader.teach, data, seed) if loader.teach else Path(loader.path or "")
    return open_exported(directory, loader.condition_dropout, pick_device(loader.device))


def _taught(loader: RowDiffusion, settings: TeachRows, data: Dataset, seed: int) -> Path:
    examples, asked = data.load(settings.split), data.load("forget", targets=False)
    device = pick_device(loader.device)

    def make(directory: Path) -> None:
        if loader.path is not None:
            model = open_exported(Path(loader.path), loader.condition_dropout, device)
        else:
            shape = {key: getattr(loader, key) for key in ("width", "depth", "num_noise_levels")}
            with seeded(derive_seed(seed, "begin")):
                codec = Codec.fit(examples, asked, loader.one_hot_scale)
                model = RowModel(codec, shape, loader.condition_dropout, device)
        teach(model, examples, settings, derive_seed(seed, "teach"))
        model.export(directory)

    made_of = {
        "examples": [[example.content, example.target] for example in examples],
        "asked": [prompt.content for prompt in asked],
        "begin": _begin(loader),
        "loader": loader.model_dump(mode="json", exclude={"use", "path", "device"}),
    }
    return taught(make, made_of, code=Path(__file__).parent, device=device, seed=seed)


def _begin(loader: RowDiffusion) -> str:
    """Return the digest of the weights to begin from."""
    if loader.path is None:
        return "random"
    path = Path(loader.path) / "model.safetensors"
    return environment.file_digest(path) if path.exists() else "missing"
