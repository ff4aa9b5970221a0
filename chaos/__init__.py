"""The fault harness: real workers, real servers, real faults, and a history that is judged."""
