"""Who may be reached how, and when."""
