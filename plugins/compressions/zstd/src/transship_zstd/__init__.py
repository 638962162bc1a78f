"""The zstd plugin of transship."""
