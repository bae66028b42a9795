"""The door to people and machines that watch: events are emitted once, handlers turn them into lines and figures."""
