"""Anyone's own images and tables: what their files and folders mean."""
