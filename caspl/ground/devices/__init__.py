"""What goes to a GPU and comes from it, so that neither it nor the program waits for the other."""
