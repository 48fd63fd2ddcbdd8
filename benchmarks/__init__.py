"""Side-by-side measurements of one iteration of Partial Model Collapse, done three ways."""
