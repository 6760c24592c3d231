"""The ground that all rooms stand on: mistakes, files, images, other libraries' noise. No model in here."""
