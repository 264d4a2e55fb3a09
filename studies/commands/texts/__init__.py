"""What commands print for people: lines that fit the terminal."""
