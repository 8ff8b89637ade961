"""The other side of every protocol: devices, people, faults and brokers that a campus can be run against."""
