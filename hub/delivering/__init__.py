"""The role `notifiers`: deliveries to the providers."""
