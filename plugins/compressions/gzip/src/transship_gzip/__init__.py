"""The gzip plugin of transship."""
