"""Training the upper layers alone: what the frozen ones below make of a row is computed once."""

import copy
from typing import Any

import torch

from collapse_core import CollapseError
from collapse_llm.model.marks import close, run_like

MOST_BYTES = 2**30
"""How much of what frozen layers give is held; rows beyond it are computed anew each time."""


def decoder_layers(module: Any) -> torch.nn.ModuleList:
    """Return the outermost list of as many modules as the model has layers.

    Raises:
        CollapseError: There is no such list.
    """
    num = module.config.num_hidden_layers
    lists = (one for one in module.modules() if isinstance(one, torch.nn.ModuleList))
    found = next((one for one in lists if len(one) == num), None)
    if found is None:
        raise CollapseError(
            f"the decoder layers of a model of the type '{module.config.model_type}' are not found"
        )
    return found


def freeze_below(module: Any, num_trained: int) -> None:
    """Leave only the last so many decoder layers to be trained.

    Raises:
        CollapseError: The model has fewer.
    """
    layers = decoder_layers(module)
    if num_trained > len(layers):
        raise CollapseError(
            f"'train_layers: {num_trained}' is more than the {len(layers)} layers that the model has; leave "
            "it out to train all weights"
        )
    module.requires_grad_(False)
    layers[-num_trained:].requires_grad_(True)


class UpperLayers(torch.nn.Module):
    """A causal language model whose lower layers are frozen, and asked about each row once.

    A row alone, without padding, goes through the lower layers. So what they give does not depend on the rows
    that share a batch with it, and a resumed run computes the same.
    """

    def __init__(self, module: Any, num_trained: int) -> None:
        """Take a module that `is_divisible`; it is shared, not copied."""
        super().__init__()
        self.whole = module
        self.config = module.config
        run_like(self, module)
        first = len(module.base_model.layers) - num_trained
        # In a tuple, so that their shared parameters are not counted a second time.
        self._halves = (
            _with_layers(module, slice(0, first)).base_model,
            _with_layers(module, slice(first, None)),
        )
        self._halves[0]._modules["norm"] = torch.nn.Identity()
        self._known: dict[tuple[int, ...], torch.Tensor] = {}
        self._room = MOST_BYTES

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, **arguments: Any) -> Any:
        """Compute what the whole module does, without its cache of keys and values.

        Args:
            input_ids: The tokens, of shape (rows, length).
            attention_mask: 1 where there is a token, of the same shape.
            **arguments: What else transformers' modules take.
        """
        present = attention_mask.bool()
        below = [
            self._below(ids[seen].tolist(), ids.device) for ids, seen in zip(input_ids, present, strict=True)
        ]
        states = below[0].new_zeros((*input_ids.shape, below[0].shape[-1]))
        states[present] = torch.cat(below)
        return self._halves[1](inputs_embeds=states, attention_mask=attention_mask, **arguments)

    def get_output_embeddings(self) -> Any:
        """Return the head, which projects to the vocabulary."""
        return self._halves[1].get_output_embeddings()

    def set_output_embeddings(self, head: Any) -> None:
        """Use another head."""
        self._halves[1].set_output_embeddings(head)

    def _below(self, ids: list[int], device: torch.device) -> torch.Tensor:
        """What the frozen layers give for a row, of shape (length, width)."""
        known = self._known.get(tuple(ids))
        if known is not None:
            return known
        lower = self._halves[0]
        training = lower.training
        with torch.no_grad():
            states: torch.Tensor = lower.eval()(torch.tensor([ids], device=device), use_cache=False)[0][0]
        lower.train(training)
        if states.nbytes <= self._room:
            self._room -= states.nbytes
            self._known[tuple(ids)] = states
        return states


def is_divisible(module: Any) -> bool:
    """Return whether the upper layers, fed with what the lower ones give, compute what the module does."""
    kinds = set(getattr(module.config, "layer_types", None) or ())
    if len(kinds) > 1 or len(getattr(module.base_model, "layers", ())) < 2:
        return False
    ids = torch.tensor([[0, 2, 3, 4], [5, 6, 7, 8]], device=next(module.parameters()).device)
    mask = torch.tensor([[0, 1, 1, 1], [1, 1, 1, 1]], device=ids.device)
    arguments = {
        "input_ids": ids,
        "attention_mask": mask,
        "position_ids": (mask.cumsum(-1) - 1).clamp(min=0),
        "use_cache": False,
    }
    training = module.training
    with torch.no_grad():
        try:
            divided = UpperLayers(module.eval(), len(module.base_model.layers) - 1)(**arguments).logits
        except (AttributeError, TypeError, ValueError, RuntimeError):
            return False
        whole = module(**arguments).logits
    module.train(training)
    present = mask.bool()
    return close(divided[present], whole[present])


def _with_layers(module: Any, layers: slice) -> Any:
    """A module with some of the layers, which shares all that it has with the one given."""
    divided, base = _shallow(module), _shallow(module.base_model)
    base._modules["layers"] = module.base_model.layers[layers]
    divided._modules[module.base_model_prefix] = base
    return divided


def _shallow(module: torch.nn.Module) -> torch.nn.Module:
    """A copy with a dictionary of children of its own."""
    shallow = copy.copy(module)
    shallow._modules = dict(module._modules)
    return shallow
