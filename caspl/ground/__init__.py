"""The ground that all rooms stand on: mistakes and the door that prints them, configuration keys as declared things,
YAML, files, images, shapes, other libraries' noise. No model in here."""
