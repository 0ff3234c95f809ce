"""What runs only in Jobs, or tells the operator what came of a command. Parses on Python 3.6."""
