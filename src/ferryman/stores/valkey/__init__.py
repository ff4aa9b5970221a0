"""Jobs in Valkey or Redis: records, queues, leases and results, one Lua script an operation."""
