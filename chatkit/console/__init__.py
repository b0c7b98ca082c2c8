"""The terminal client: chatting, and following a channel in a pipe.

It reaches Kafka and MongoDB through a room, as every user interface does.
"""
