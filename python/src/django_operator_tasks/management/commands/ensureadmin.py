"""Creates a user of the project's own model, or brings an existing one to what was asked for."""

import json
import os

from django.contrib.auth import get_user_model
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS, IntegrityError, connections, transaction

from ... import report
from ...honesty import check_database
from ...waiting import for_database, for_model


class Command(BaseCommand):
    help = "Ensures that a Django superuser exists with credentials from environment variables."
    requires_migrations_checks = False

    def add_arguments(self, parser):
        parser.add_argument(
            "-u", "--username", default=None, help="The username for the Django admin, $DJANGO_ADMIN_USERNAME"
        )
        parser.add_argument(
            "-p", "--password", default=None, help="The password for the Django admin, $DJANGO_ADMIN_PASSWORD"
        )
        parser.add_argument(
            "-e", "--email", default=None, help="The email for the Django admin, $DJANGO_ADMIN_EMAIL"
        )
        parser.add_argument(
            "-d", "--database", default=DEFAULT_DB_ALIAS, choices=tuple(connections),
            help="Specifies the database to use. Default is 'default'.",
        )
        parser.add_argument(
            "--update", action="store_true", help="Bring an existing user to what is asked for as well."
        )

    def handle(self, *args, **options):
        wanted = Wanted(options)
        connection = connections[options["database"]]
        model = get_user_model()
        check_database(connection)
        for_database(connection)
        for_model(connection, model)
        report.current.used(connection)
        try:
            with transaction.atomic(using=options["database"]):
                user, action = self.ensure(model, wanted, options)
        except IntegrityError:
            # Somebody else made the same user just now, or another field is taken; the second look tells.
            with transaction.atomic(using=options["database"]):
                user, action = self.ensure(model, wanted, options)
        report.current.did(action, [user.get_username()])
        self.stdout.write("user %s %s" % (user.get_username(), action))

    def ensure(self, model, wanted, options):
        users = model._default_manager.db_manager(options["database"])
        username = model.normalize_username(wanted.username)
        # Managers store an address with its domain in lower case, and may have done so for this one.
        stored = {username, getattr(users, "normalize_email", str)(username)}
        user = users.filter(**{model.USERNAME_FIELD + "__in": stored}).first()
        if user is None:
            return create(model, users, username, wanted), "created"
        if not options["update"]:
            return user, "unchanged"
        return user, "updated" if update(user, wanted) else "unchanged"


class Wanted:
    """What was asked for, by option or by environment, read when the command runs."""

    def __init__(self, options):
        env = os.environ.get
        self.username = options["username"] or env("DJANGO_ADMIN_USERNAME")
        self.password = options["password"] or env("DJANGO_ADMIN_PASSWORD")
        self.email = options["email"] or env("DJANGO_ADMIN_EMAIL") or None
        if not self.username:
            raise CommandError("no username: use --username or set $DJANGO_ADMIN_USERNAME")
        if not self.password:
            raise CommandError("no password: use --password or set $DJANGO_ADMIN_PASSWORD")
        self.sets_password = env("DJANGO_ADMIN_PASSWORD_POLICY", "always") != "on-create"
        self.staff = flag("DJANGO_ADMIN_STAFF")
        # Without a word on it, a new user is what the command's name says and an old one stays as he is.
        self.superuser = flag("DJANGO_ADMIN_SUPERUSER")
        self.new_superuser = self.superuser if self.superuser is not None else self.staff is None
        try:
            self.attributes = json.loads(env("DJANGO_ADMIN_ATTRIBUTES") or "{}")
        except ValueError as error:
            raise CommandError("$DJANGO_ADMIN_ATTRIBUTES is no JSON object: %s" % error) from error


def flag(variable):
    value = os.environ.get(variable)
    return None if not value else value.lower() in ("1", "true", "yes")


def create(model, users, username, wanted):
    fields = dict(checked(model, wanted.attributes))
    fields[model.USERNAME_FIELD] = checked(model, {model.USERNAME_FIELD: username})[model.USERNAME_FIELD]
    email = email_field(model)
    if email and email not in fields and (wanted.email or email in model.REQUIRED_FIELDS):
        fields[email] = wanted.email or ""
    missing = [name for name in model.REQUIRED_FIELDS if name not in fields]
    if missing:
        raise CommandError(
            "the user model %s requires %s as well; set spec.attributes (or $DJANGO_ADMIN_ATTRIBUTES)"
            % (model._meta.label, ", ".join(missing))
        )
    check_password(wanted.password, model(**plain(model, fields)))
    # The manager knows what else belongs to a user; it takes what `createsuperuser` would give it.
    given = {name: fields.pop(name) for name in (model.USERNAME_FIELD, *model.REQUIRED_FIELDS) if name in fields}
    if email in fields:
        given[email] = fields.pop(email)
    make = users.create_superuser if wanted.new_superuser else getattr(users, "create_user", None)
    if make is not None:
        user = make(password=wanted.password, **given)
    else:
        user = model(**given)
        user.set_password(wanted.password)
    flags = {"is_superuser": wanted.new_superuser}
    if wanted.staff is not None:
        flags["is_staff"] = wanted.staff
    set_fields(user, {**fields, **known(model, flags)})
    user.save(using=users.db)
    return user


def update(user, wanted):
    """Whether anything had to be changed."""
    model = type(user)
    fields = dict(checked(model, wanted.attributes))
    email = email_field(model)
    if email and email != model.USERNAME_FIELD and wanted.email is not None:
        fields[email] = wanted.email
    flags = {"is_superuser": wanted.superuser, "is_staff": wanted.staff}
    fields.update(known(model, {name: value for name, value in flags.items() if value is not None}))
    changed = set_fields(user, fields)
    if wanted.sets_password and not user.check_password(wanted.password):
        check_password(wanted.password, user)
        user.set_password(wanted.password)
        changed = True
    if changed:
        user.save()
    return changed


def set_fields(user, fields):
    changed = False
    for name, value in fields.items():
        attribute = type(user)._meta.get_field(name).attname
        if getattr(user, attribute) != value:
            setattr(user, attribute, value)
            changed = True
    return changed


def plain(model, fields):
    """The fields by the names that the model's constructor takes for raw values."""
    return {model._meta.get_field(name).attname: value for name, value in fields.items()}


def known(model, flags):
    """The flags that the model stores; a model without them has rules of its own."""
    names = {field.name for field in model._meta.concrete_fields}
    return {name: value for name, value in flags.items() if name in names}


def checked(model, values):
    """The values as the model's fields take them."""
    result = {}
    for name, value in values.items():
        place = "spec.username" if name == model.USERNAME_FIELD else "spec.attributes.%s" % name
        try:
            field = model._meta.get_field(name)
        except FieldDoesNotExist as error:
            raise CommandError("%s: %s" % (place, error)) from error
        try:
            result[name] = field.clean(value, None)
        except ValidationError as error:
            raise CommandError("%s: %s" % (place, " ".join(error.messages))) from error
    return result


def check_password(password, user):
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise CommandError("the password is refused by AUTH_PASSWORD_VALIDATORS: %s" % " ".join(error.messages)) from error


def email_field(model):
    name = model.get_email_field_name() if hasattr(model, "get_email_field_name") else ""
    return name if name in {field.name for field in model._meta.concrete_fields} else ""
