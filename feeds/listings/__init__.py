"""What can be traded: brokers' masters read into one list with common names and keys, kept, searched, refreshed."""
