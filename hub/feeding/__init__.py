"""The role `feeds`: which process carries what, from which source."""
