"""How images and their differences are shown: on a terminal, as a page, and as JSON."""
