"""A web shop on a real PostgreSQL server: its recorded log, what was planted, how to record it."""
