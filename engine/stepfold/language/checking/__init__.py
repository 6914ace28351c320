"""What is wrong with a definition, and where: tables of what each part may hold, and what follows from the whole."""
