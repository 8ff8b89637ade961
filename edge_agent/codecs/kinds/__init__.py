"""One module for each wire: what its channel must know of a protocol. All of it pure."""
