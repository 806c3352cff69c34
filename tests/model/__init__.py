"""A model of clients, thieves and time around the shipped `rotation.decide`."""
