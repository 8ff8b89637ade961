"""A whole campus on one machine. The only part of the simulators that knows the agents."""
