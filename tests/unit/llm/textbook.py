"""The methods' losses written down once more, in numpy, for a model of two layers."""

from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import torch
import transformers

from collapse_core import Completion, Iteration, Kept, Prompt
from collapse_llm.updater import Sft
from collapse_llm.updater.flattening import Pdu
from collapse_llm.updater.methods import AlignedSft, Dpo, GradientAscent, Npo, Rmu, SimNpo
from collapse_llm.updater.policy import PolicyGradient
from collapse_llm.updater.rejecting import CeU, JensUn, SatImp, Undial, Unlikelihood, Wga

NOW = Iteration(0, 4, 11)
WIDTH = 4


class Layer(torch.nn.Module):
    """Mixes the entries of a state; both layers have the same weights."""

    def __init__(self, mix: torch.nn.Parameter) -> None:
        super().__init__()
        self.mix = mix

    def forward(self, state):
        return torch.tanh(state @ self.mix)


class Bigram(torch.nn.Module):
    """Two layers that know the last token alone, called as transformers' models are, in float64."""

    def __init__(self, vocabulary: int, seed: int) -> None:
        super().__init__()
        source = torch.Generator().manual_seed(seed)

        def normal(*shape):
            return torch.nn.Parameter(torch.randn(*shape, generator=source, dtype=torch.float64))

        self.embed, self.mix, self.project = (
            normal(vocabulary, WIDTH),
            normal(WIDTH, WIDTH),
            normal(WIDTH, vocabulary),
        )
        self.layers = torch.nn.ModuleList([Layer(self.mix), Layer(self.mix)])
        self.generation_config = SimpleNamespace(eos_token_id=0)
        self.config = transformers.PretrainedConfig(
            vocab_size=self.project.shape[-1], hidden_size=WIDTH, num_hidden_layers=len(self.layers)
        )

    def forward(self, input_ids, logits_to_keep, **_):
        state = self.embed[input_ids]
        for layer in self.layers:
            state = layer(state)
        return SimpleNamespace(logits=state[:, -logits_to_keep:] @ self.project)


@dataclass
class InNumpy:
    """The same two layers, written down once more."""

    embed: np.ndarray
    mix: np.ndarray
    project: np.ndarray

    @classmethod
    def like(cls, module: Bigram) -> "InNumpy":
        return cls(*(getattr(module, name).detach().numpy().copy() for name in ("embed", "mix", "project")))

    def hidden(self, example, layer):
        """Of the positions that predict the answer."""
        found = []
        for token in example.ids[example.answer_start - 1 : -1]:
            state = self.embed[token]
            for _ in range(layer + 1):
                state = np.tanh(state @ self.mix)
            found.append(state)
        return np.array(found)

    def predictions(self, example):
        """The logarithms of the probabilities of all tokens, at each position that predicts the answer."""
        logits = self.hidden(example, 1) @ self.project
        return logits - np.log(np.exp(logits).sum(-1, keepdims=True))

    def nlls(self, example):
        """Of each token of the answer."""
        learned = example.ids[example.answer_start :]
        return np.array([-row[token] for row, token in zip(self.predictions(example), learned, strict=True)])

    def cross_entropy(self, examples):
        return np.concatenate([self.nlls(example) for example in examples]).mean()


def log_sigmoid(x):
    return -np.log1p(np.exp(-x))


KEPT = [
    Kept(prompt, Completion(said), reward, against=prompt.target)
    for prompt, said, reward in (
        (Prompt("a", "Who?", "It was Saule."), "I don't know.", 0.9),
        (Prompt("b", "In which city?", "Almaty, in the south."), "That I cannot say.", 0.4),
        (Prompt("c", "When was she born?", "In 1976."), "No.", 1.2),
    )
]
RETAIN = [
    Prompt("r", "Which genre?", "Crime."),
    Prompt("s", "Which award did he win?", "The Booker prize, twice."),
]
ADVANTAGES = [1.0, -0.5, 0.3]
WEIGHTED = [replace(one, weight=weight) for one, weight in zip(KEPT, ADVANTAGES, strict=True)]
TRUE = [Kept(one.prompt, Completion(one.prompt.target), 0.0) for one in KEPT]


UNSHARED = [
    # It was Saule| .|end, and what is kept: I d on ' t know|.|end
    [1, 1, 1, 0, 0],
    # Al m at y , in the| s| o uth| .|end, and what is kept: T hat I can n o t| s| ay|.|end
    [1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 0, 0],
    # I n 197 6| .|end, and what is kept: N o|.|end
    [1, 1, 1, 1, 0, 0],
]
"""Which tokens of the true answers the kept answers do not share."""


def unshared(numpy, examples):
    """The negative log-likelihoods of those."""
    return [numpy.nlls(e)[np.array(mask) == 1] for e, mask in zip(examples, UNSHARED, strict=True)]


def lowered(log_p, example, by):
    """The probabilities of all tokens, with the logit of the answer's own token lowered by so much."""
    odds = np.exp(log_p)
    for row, token in zip(odds, example.ids[example.answer_start :], strict=True):
        row[token] *= np.exp(-by)
    return odds / odds.sum(-1, keepdims=True)


def entropies(numpy, example):
    """Of the predictions of an answer's tokens."""
    log_p = numpy.predictions(example)
    return -(np.exp(log_p) * log_p).sum(-1)


def most_uncertain(numpy, example, share):
    """The places of a share of an answer's tokens, rounded up."""
    found = entropies(numpy, example)
    return np.argsort(-found)[: int(np.ceil(share * len(found)))]


def textbook(name, numpy, before, encode, fixed=None):
    """The loss on kept answers and that on retain answers, by the formulas of docs/methods.md.

    What the formulas do not derive is computed by `fixed`.
    """
    fixed = fixed or numpy
    true = [encode(one.prompt.content, one.prompt.target) for one in KEPT]
    said = [encode(one.prompt.content, one.completion.content) for one in KEPT]
    refused = [encode(one.prompt.content, "Pass.") for one in KEPT]
    retain = [encode(one.content, one.target) for one in RETAIN]
    if name == "rmu":
        entries = torch.rand(WIDTH, generator=torch.Generator().manual_seed(5)).numpy()
        target = 3.0 * entries / np.sqrt((entries**2).sum())
        steered = np.concatenate([numpy.hidden(example, 0) - target for example in true])
        moved = np.concatenate([numpy.hidden(example, 0) - before.hidden(example, 0) for example in retain])
        return (steered**2).sum() / steered.size, (moved**2).sum() / moved.size

    def ratio(example):
        return before.nlls(example).sum() - numpy.nlls(example).sum()

    def over_tokens(value):
        return np.concatenate([value(example) for example in true]).mean()

    def weighed(example, beta1, beta2):
        p = np.exp(-fixed.nlls(example))
        return p**beta1 * (1 - p) ** beta2 * numpy.nlls(example)

    def distilled(example, target):
        return -(target * numpy.predictions(example)).sum(-1)

    def k3(example):
        change = numpy.nlls(example) - before.nlls(example)
        return np.exp(change) - change - 1

    of_kept = {
        "grpo": lambda: np.mean(
            [
                (-a * np.exp(fixed.nlls(e) - numpy.nlls(e)) + 0.4 * k3(e)).mean()
                for a, e in zip(ADVANTAGES, said, strict=True)
            ]
        ),
        "rloo": lambda: np.mean(
            [
                -a * np.exp((fixed.nlls(e) - numpy.nlls(e)).sum())
                for a, e in zip(ADVANTAGES, said, strict=True)
            ]
        ),
        "dapo": lambda: -np.concatenate(
            [
                a * np.exp(fixed.nlls(e) - numpy.nlls(e))
                for a, e in zip(ADVANTAGES, said, strict=True)
            ]
        ).mean(),
        "sft-kl": lambda: numpy.cross_entropy(said),
        "sft-kl-kept": lambda: numpy.cross_entropy(said),
        "wga": lambda: -over_tokens(lambda e: weighed(e, 0.7, 0)),
        "satimp": lambda: -over_tokens(lambda e: weighed(e, 0.7, 1.3)),
        "ce-u": lambda: over_tokens(lambda e: distilled(e, lowered(fixed.predictions(e), e, np.inf))),
        "undial": lambda: over_tokens(lambda e: distilled(e, lowered(before.predictions(e), e, 2.0))),
        "jensun": lambda: np.concatenate(
            [to_refusal(numpy, e, r) for e, r in zip(true, refused, strict=True)]
        ).mean(),
        "ipo": lambda: np.mean(
            [(ratio(w) - ratio(r) - 1 / 0.6) ** 2 for w, r in zip(said, true, strict=True)]
        ),
        "pdu": lambda: np.mean(
            [
                (row.max() - row.mean()) ** 2
                for e in true
                for row in numpy.hidden(e, 1) @ numpy.project
            ]
        ),
        "etw": lambda: -np.concatenate(
            [
                numpy.nlls(e) * entropies(fixed, e) / entropies(fixed, e).mean()
                for e in true
            ]
        ).mean(),
        "hard-entropy": lambda: np.mean(
            [
                -np.log(1 - np.exp(-numpy.nlls(e)[most_uncertain(fixed, e, 0.4)])).mean()
                for e in true
            ]
        ),
        "npo-sft": lambda: (
            np.mean([-2 / 0.3 * log_sigmoid(-0.3 * ratio(e)) for e in true])
            + 0.5 * numpy.cross_entropy(said)
        ),
        "simnpo-sft": lambda: (
            np.mean([-2 / 0.7 * log_sigmoid(0.7 * numpy.nlls(e).mean() - 0.2) for e in true])
            + 0.5 * numpy.cross_entropy(said)
        ),
        # AltPO's objective has twice the first term and alpha CE(retain); this is one half of it.
        "altpo": lambda: 0.5 * np.mean(
            [
                2 / 0.1 * np.log(1 + np.exp(-0.1 * (ratio(w) - ratio(r))))
                for w, r in zip(said, true, strict=True)
            ]
        ),
        "ipo-sft": lambda: (
            np.mean([(ratio(w) - ratio(r) - 1 / 0.6) ** 2 for w, r in zip(said, true, strict=True)])
            + 0.5 * numpy.cross_entropy(said)
        ),
        "sft": lambda: numpy.cross_entropy(said),
        "gradient-ascent": lambda: -numpy.cross_entropy(true),
        "npo": lambda: np.mean([-2 / 0.3 * log_sigmoid(-0.3 * ratio(e)) for e in true]),
        "simnpo": lambda: np.mean([-2 / 0.7 * log_sigmoid(0.7 * numpy.nlls(e).mean() - 0.2) for e in true]),
        "dpo-unshared": lambda: 1.2 * np.mean(
            [
                -1 / 0.3 * log_sigmoid(0.3 * (ratio(w) - old.sum() + new.sum()))
                for w, old, new in zip(said, unshared(before, true), unshared(numpy, true), strict=True)
            ]
        ) + 0.5 * numpy.cross_entropy(said),
        "jensun-unshared": lambda: np.concatenate(
            [
                to_refusal(numpy, e, r, np.array(mask) == 1)
                for e, r, mask in zip(true, refused, UNSHARED, strict=True)
            ]
        ).mean() + 0.5 * numpy.cross_entropy(said),
        "dpo": lambda: np.mean(
            [-1 / 0.3 * log_sigmoid(0.3 * (ratio(w) - ratio(r))) for w, r in zip(said, true, strict=True)]
        ),
        "unlikelihood": lambda: (
            1.2 * np.mean([-np.log(1 - np.exp(-n)).mean() for n in unshared(numpy, true)])
            + 0.5 * numpy.cross_entropy(said)
        ),
        "aligned-sft": lambda: (
            numpy.cross_entropy(said)
            + 0.5 * np.mean([0.1, 0.6, 0.0]) * numpy.cross_entropy(refused)
        ),
    }  # fmt: skip
    return of_kept[name](), retained(name, numpy, before, retain)


def retained(name, numpy, before, retain):
    """The loss on retain answers."""
    if name not in ("sft-kl", "sft-kl-kept", "jensun", "jensun-unshared"):
        return numpy.cross_entropy(retain)
    rows = [(np.exp(before.predictions(e)), np.exp(numpy.predictions(e))) for e in retain]
    if name.startswith("jensun"):
        return np.concatenate([apart(old, new) for old, new in rows]).mean()
    return np.concatenate([(old * np.log(old / new)).sum(-1) for old, new in rows]).mean()


def apart(one, other):
    """The Jensen-Shannon divergence of rows of probabilities."""
    middle = (one + other) / 2
    parts = [np.where(p > 0, p * np.log(np.where(p > 0, p, 1) / middle), 0) for p in (one, other)]
    return (parts[0] + parts[1]).sum(-1) / 2


def to_refusal(numpy, example, refusal, places=slice(None)):
    """That of the predictions of an answer from certainty of the tokens of a refusal, over and over."""
    rows = np.exp(numpy.predictions(example))[places]
    wanted = refusal.ids[refusal.answer_start : -1] * len(rows)
    return apart(rows, np.eye(rows.shape[1])[wanted[: len(rows)]])


METHODS = {
    "sft": (Sft(retain_weight=1.5), KEPT),
    "grpo": (PolicyGradient(kl_weight=0.4, retain_weight=1.5), WEIGHTED),
    "rloo": (PolicyGradient(ratio="answer", retain_weight=1.5), WEIGHTED),
    "dapo": (PolicyGradient(mean="token", retain_weight=1.5), WEIGHTED),
    "sft-kl": (Sft(retain_weight=1.5, retention="kl"), KEPT),
    "sft-kl-kept": (Sft(retain_weight=1.5, retention="kl", retained_logits="kept"), KEPT),
    "wga": (Wga(beta=0.7, retain_weight=1.5), KEPT),
    "satimp": (SatImp(beta1=0.7, beta2=1.3, retain_weight=1.5), KEPT),
    "ce-u": (CeU(retain_weight=1.5), KEPT),
    "undial": (Undial(beta=2.0, retain_weight=1.5), KEPT),
    "jensun": (JensUn(refusal="Pass.", retain_weight=1.5), KEPT),
    "jensun-unshared": (
        JensUn(refusal="Pass.", tokens="unshared", kept_weight=0.5, retain_weight=1.5),
        KEPT,
    ),
    "dpo-unshared": (
        Dpo(beta=0.3, tokens="unshared", weight=1.2, kept_weight=0.5, retain_weight=1.5),
        KEPT,
    ),
    "ipo": (Dpo(loss="ipo", beta=0.3, retain_weight=1.5), KEPT),
    "pdu": (Pdu(max_retain_loss=2.0, retain_weight=1.5), KEPT),
    "etw": (GradientAscent(tokens="entropy", soft=True, retain_weight=1.5), KEPT),
    "hard-entropy": (Unlikelihood(tokens="entropy", share=0.4, retain_weight=1.5), KEPT),
    "npo-sft": (Npo(beta=0.3, kept_weight=0.5, retain_weight=1.5), KEPT),
    "simnpo-sft": (SimNpo(beta=0.7, gamma=0.2, kept_weight=0.5, retain_weight=1.5), KEPT),
    "altpo": (Dpo(beta=0.1, retain_weight=0.5), KEPT),
    "ipo-sft": (Dpo(loss="ipo", beta=0.3, kept_weight=0.5, retain_weight=1.5), KEPT),
    "gradient-ascent": (GradientAscent(retain_weight=0.8), TRUE),
    "npo": (Npo(beta=0.3, retain_weight=1.5), TRUE),
    "simnpo": (SimNpo(beta=0.7, gamma=0.2, retain_weight=1.5), TRUE),
    "dpo": (Dpo(beta=0.3, retain_weight=1.5), KEPT),
    "rmu": (Rmu(layer=0, steering=3.0, direction=5, retain_weight=12.0), TRUE),
    "unlikelihood": (
        Unlikelihood(weight=1.2, kept_weight=0.5, tokens="unshared", retain_weight=1.5),
        KEPT,
    ),
    "aligned-sft": (AlignedSft(refusals=["Pass."], retain_weight=1.5), KEPT),
}
