"""What lies on the disk: finding it, downloading it, comparing it with what is published, and keeping files beside it."""
