"""What an alert waits for, as text, as JSON and in words. Pure."""
