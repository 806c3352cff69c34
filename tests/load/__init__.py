"""A site under load: honest sessions, thieves, and a count of what went wrong."""
