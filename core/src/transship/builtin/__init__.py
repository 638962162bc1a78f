"""Plugins that come with the core, on the standard library alone."""
