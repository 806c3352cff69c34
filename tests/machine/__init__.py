"""Clients, thieves, staff and time, doing whatever they like to the services."""
