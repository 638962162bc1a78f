"""Plugin projects that work from the first minute: what ``transship plugins new`` writes."""
