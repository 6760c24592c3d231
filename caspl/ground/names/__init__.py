"""Files of class names, as people have them."""
