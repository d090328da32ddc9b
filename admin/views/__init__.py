"""The pages of the console, one module for each domain; what is in a module's ``VIEWS`` is part of it."""
