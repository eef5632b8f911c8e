"""Deliveries, from the trigger that asks for one to the end of it, whoever is killed in between."""
