"""What runs jobs: the supervisor and its leases, worker processes, and isolated children."""
