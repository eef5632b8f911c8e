"""HTTP itself: from a request to an endpoint and back, and what describes it."""
