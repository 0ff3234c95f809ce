# ruff: noqa: D100
# How a Job starts the helper: what runs is the very bytes whose digest was checked, whatever becomes of the file. It
# stands in the Job's command, without these comments: PATH DIGEST ARGUMENTS. Parses on Python 3.6.
import hashlib
import json
import os
import runpy
import sys

path, digest, *arguments = sys.argv[1:]
# While a pod that mounts an immutable ConfigMap is on the node, its kubelet gives others the same, even once deleted.
MEND = "delete the helper's ConfigMap and the ended pods of tasks in this namespace, then run again"


def refuse(reason, message):
    log = "" if "DJANGO_OPERATOR_RUN" in os.environ else os.environ.get("DJK8S_TERMINATION_LOG")
    with open(log or "/dev/termination-log", "w") as file:
        json.dump({"ok": False, "reason": reason, "message": message}, file)
    sys.exit(message)


def memory():
    try:
        return os.memfd_create("tasks", 0)
    except (AttributeError, OSError):
        import tempfile
    try:
        import ctypes

        fd = ctypes.CDLL(None).memfd_create(b"tasks", 0)
    except (AttributeError, ImportError, OSError):
        fd = -1
    if fd < 0:
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
        os.set_inheritable(fd, True)
    return fd


try:
    with open(path, "rb") as file:
        code = file.read()
except OSError as error:
    refuse("HelperTampered", "%s; %s" % (error, MEND))
if hashlib.sha256(code).hexdigest() != digest:
    refuse("HelperTampered", "%s is not what the operator put there; %s" % (path, MEND))
try:
    fd = memory()
    with open(fd, "wb", closefd=False) as file:
        file.write(code)
except OSError as error:
    refuse("CommandFailed", "no place for the helper to run from, neither in memory nor in a directory: %s" % error)
sys.argv = ["/proc/self/fd/%d" % fd, *arguments]
sys.path[:] = [entry for entry in sys.path if entry]
runpy.run_path(sys.argv[0], run_name="__main__")
