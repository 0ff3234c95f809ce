"""django-operator-tasks by the name of djk8s."""
