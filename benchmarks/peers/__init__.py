"""One file a system: how it is told to enqueue, and how its worker is started."""
