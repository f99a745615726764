"""What the product does: one use case per method. No HTTP, no SQL."""
