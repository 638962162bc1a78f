"""The docker-archive plugin of transship."""
