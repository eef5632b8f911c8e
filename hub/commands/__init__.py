"""What can be typed behind `python -m hub`: one module a command, imported when it is the one that was typed."""
