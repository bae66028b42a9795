"""What puts the engine under faults, to see whether its promises hold. Nothing in production imports it."""
