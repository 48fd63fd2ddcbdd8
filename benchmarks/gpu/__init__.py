"""One iteration on a GPU with random models, in minutes: ours against `generate` and TRL's step."""
