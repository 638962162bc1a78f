"""May this image be trusted? policy.json, the requirements in it, and the verdict."""
