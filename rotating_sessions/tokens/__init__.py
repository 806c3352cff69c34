"""Tokens as strings: refresh tokens, access tokens, and the keys of both."""
