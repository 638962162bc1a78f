"""The docker plugin of transship: registries, their configuration and their credentials."""
