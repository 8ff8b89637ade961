"""The box: reads devices, keeps what they say in a durable outbox, delivers it to the campus."""
