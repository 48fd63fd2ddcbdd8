"""Reading runs back, side by side."""
