"""Streams in, alerts out: gRPC and HTTP, the alert store, the client."""
