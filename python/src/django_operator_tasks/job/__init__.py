"""What Jobs run, and how any command tells the operator what came of it."""
