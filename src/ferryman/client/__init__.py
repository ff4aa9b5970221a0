"""What applications hold in their hands: tasks, job handles, queues, and the running job."""
