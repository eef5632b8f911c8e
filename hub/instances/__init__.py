"""Many instances as one: asking all of them, and what is set for all at run time."""
