"""Harnesses for the parsers of what strangers write, one module for each family of them."""
