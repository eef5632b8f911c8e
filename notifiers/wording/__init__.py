"""What is said to people, in their language. Pure, once the texts have been read."""
