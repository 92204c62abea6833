"""The built-in world: drawn dancers, synthesised music and choreography, in which everything is known exactly."""
