# collapse_points_flow.py
"""The network, apart from the rest: importing torch takes seconds."""

import torch
from safetensors.torch import save_file

from collapse_core.torch import TorchModel, seeded, step


class Flow(TorchModel):
    """The velocity of points on straight paths from noise (flow matching, arXiv 2210.02747, section 4.1)."""

    def __init__(self, shapes, seed):
        """A network of random weights; shapes are told apart by one-hot rows."""
        with seeded(seed):
            first, second, last = (
                torch.nn.Linear(*size) for size in ((3 + len(shapes), 96), (96, 96), (96, 2))
            )
        super().__init__(torch.nn.Sequential(first, torch.nn.SiLU(), second, torch.nn.SiLU(), last).double())
        self.rows = dict(zip(shapes, torch.eye(len(shapes)), strict=True))

    def export(self, directory):
        """Write flow.safetensors, the layers' weights."""
        save_file(self.module.state_dict(), directory / "flow.safetensors")

    def velocity(self, points, times, shapes):
        """Where points of these shapes are heading, of shape (points, 2)."""
        rows = torch.stack([self.rows[s] for s in shapes])
        return self.module(torch.cat([points, times, rows], 1).double())

    @torch.no_grad()
    def draw(self, shapes, seeds, num_steps=20):
        """Points of these shapes, each carried from the noise of its seed."""
        noise = [torch.randn(2, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        points = torch.stack(noise).double() if noise else torch.empty(0, 2)
        for number in range(num_steps if noise else 0):
            times = torch.full((len(points), 1), number / num_steps)
            points = points + self.velocity(points, times, shapes) / num_steps
        return [[round(x, 6) for x in point] for point in points.tolist()]

    def learn(self, parts, learning_rate, iteration, seed):
        """One step of Adam on the weighted losses of parts, each a weight and examples: shapes and points."""
        optimizer, source = self.optimizer(torch.optim.Adam), torch.Generator().manual_seed(seed)
        loss = sum(weight * self._loss(examples, source) for weight, examples in parts)
        loss.backward()
        step(optimizer, loss.item(), learning_rate, 1.0, iteration)
        return loss.item()

    def _loss(self, examples, source):
        places = torch.randint(len(examples), (128,), generator=source)
        shapes, ends = zip(*(examples[place] for place in places), strict=True)
        noise, ends = torch.randn((128, 2), generator=source), torch.tensor(ends)
        times = torch.rand((128, 1), generator=source)
        velocity = self.velocity((1 - times) * noise + times * ends, times, shapes)
        return (velocity - (ends - noise)).square().sum(1).mean()
