from django.core.exceptions import ValidationError


class Telling:
    """Says more than it should."""

    def validate(self, password, user=None):
        raise ValidationError("the password %s is known" % password)

    def get_help_text(self):
        return ""
