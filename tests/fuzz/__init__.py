"""Bad input: bytes that nobody would send, made into every kind of message."""
