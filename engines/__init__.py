"""WHO runs it: the seam that every engine implements, the player, the broker, and a room for each engine."""
