"""The engine: one image, from one place to others."""
