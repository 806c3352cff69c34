"""The HTTP endpoints: parse, ask one service, answer."""
