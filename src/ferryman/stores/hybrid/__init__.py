"""The hybrid store: a database keeps the jobs, and a lane in Valkey hands them out."""
