"""What needs a device of its own."""
