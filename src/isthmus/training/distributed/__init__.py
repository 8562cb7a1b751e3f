"""Training in several processes: communication between them, and replicated or sharded models."""
