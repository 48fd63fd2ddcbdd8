"""Question answering with language models: the reference case of Partial Model Collapse."""
