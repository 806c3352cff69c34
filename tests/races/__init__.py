"""Races: every operation against every other, on connections of their own."""
