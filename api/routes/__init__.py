"""What can be asked, one room a subject."""
