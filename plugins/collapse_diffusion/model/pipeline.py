"""A class-conditional diffusion pipeline in pixels; it is exported with the model and needs diffusers alone.

code = f"{directory}/pipeline.py"
pipeline = DiffusionPipeline.from_pretrained(directory, custom_pipeline=code, trust_remote_code=True)
images = pipeline([3, 3, 5], num_inference_steps=20).images
"""

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from diffusers import DiffusionPipeline, ImagePipelineOutput
from diffusers.utils.torch_utils import randn_tensor


class ClassConditionalPipeline(DiffusionPipeline):
    """Draws images of classes from a UNet2DModel, or of no class where it has none."""

    def __init__(self, unet: Any, scheduler: Any, has_null: bool = True) -> None:
        """Take a UNet2DModel, any scheduler of diffusers, and whether the last class stands for no class."""
        super().__init__()
        self.register_modules(unet=unet, scheduler=scheduler)
        self.register_to_config(has_null=has_null)

    @torch.no_grad()
    def __call__(
        self,
        class_labels: Sequence[int] | torch.Tensor,
        num_inference_steps: int = 20,
        guidance_scale: float = 1.0,
        eta: float = 1.0,
        generator: torch.Generator | list[torch.Generator] | None = None,
        output_type: str = "pil",
    ) -> ImagePipelineOutput:
        """Draw one image for each label.

        Args:
            class_labels: Class indices; the number of class embeddings minus one stands for no class, if one
                does. A model without classes takes only their number.
            num_inference_steps: How many denoising steps.
            guidance_scale: How far the class moves the prediction away from that for no class; 1 leaves
                it where it is (Ho and Salimans, arXiv 2207.12598). Others need a class for none.
            eta: The noise that DDIM adds, from 0 to 1; ignored by schedulers that do not take it.
            generator: One generator, or one for each label.
            output_type: "pil", or "np" for an array (images, height, width, channels) in [0, 1].
        """
        if guidance_scale != 1 and not self.config.has_null:
            raise ValueError("this model has no class that stands for none, so that it cannot be guided")
        config, size = self.unet.config, self.unet.config.sample_size
        labels = torch.as_tensor(class_labels, dtype=torch.long, device=self.device)
        sides = (size, size) if isinstance(size, int) else tuple(size)
        shape = (len(labels), config.in_channels, *sides)
        image = randn_tensor(shape, generator, self.device, self.unet.dtype)
        self.scheduler.set_timesteps(num_inference_steps, device=self.device)
        image = image * self.scheduler.init_noise_sigma
        accepted = inspect.signature(self.scheduler.step).parameters
        options = {"eta": eta, "generator": generator}
        options = {key: value for key, value in options.items() if key in accepted}
        for t in self.scheduler.timesteps:
            noise = self._predict(self.scheduler.scale_model_input(image, t), t, labels, guidance_scale)
            image = self.scheduler.step(noise, t, image, **options).prev_sample
        images = (image / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).cpu().numpy()
        return ImagePipelineOutput(self.numpy_to_pil(images) if output_type == "pil" else images)

    def _predict(self, image: Any, t: Any, labels: torch.Tensor, guidance_scale: float) -> Any:
        channels = self.unet.config.in_channels  # what follows them is a variance
        if self.unet.config.num_class_embeds is None:
            return self.unet(image, t).sample[:, :channels]
        if guidance_scale == 1:
            return self.unet(image, t, class_labels=labels).sample[:, :channels]
        null = torch.full_like(labels, self.unet.config.num_class_embeds - 1)
        both = self.unet(torch.cat([image, image]), t, class_labels=torch.cat([labels, null])).sample
        both = both[:, :channels]
        conditioned, free = both.chunk(2)
        return free + guidance_scale * (conditioned - free)
