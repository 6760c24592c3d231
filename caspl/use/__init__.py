"""What was trained, in use without Dassl: classifying, exporting, sharing."""
