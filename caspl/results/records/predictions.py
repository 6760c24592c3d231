"""The file beside a record with the prediction of each image."""
