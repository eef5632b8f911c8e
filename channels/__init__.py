"""Who hears what: channel names, namespaces, the broker and its twins, fan-out, history and recovery."""
