"""The dir plugin of transship."""
