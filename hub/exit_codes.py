"""How a command ends, as the shell or a supervisor is told."""

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_BUG = 70
EXIT_SETTINGS = 78
EXIT_INTERRUPTED = 130
