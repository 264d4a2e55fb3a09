"""What commands print: text for people, fitted to the terminal, and JSON documents."""
