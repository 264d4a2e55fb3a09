"""Tables: finds out what their columns hold, and turns their rows into arrays of numbers."""
