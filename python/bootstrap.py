# How a Job starts the helper: what runs is the very bytes whose digest was checked, whatever becomes of the file. Stands
# in the Job's command, without these comments: PATH DIGEST ARGUMENTS. Parses on Python 3.6.
import hashlib
import json
import os
import runpy
import sys

path, digest, *arguments = sys.argv[1:]
with open(path, "rb") as file:
    code = file.read()
refused = None
if hashlib.sha256(code).hexdigest() != digest:
    refused = ("HelperTampered", "%s is not what the operator put there; delete its ConfigMap, and run again" % path)
elif not hasattr(os, "memfd_create"):
    refused = ("UnsupportedPython", "the image's Python is %d.%d; the tasks need 3.9 or newer" % sys.version_info[:2])
if refused:
    log = "" if "DJANGO_OPERATOR_RUN" in os.environ else os.environ.get("DJK8S_TERMINATION_LOG")
    with open(log or "/dev/termination-log", "w") as file:
        json.dump({"ok": False, "reason": refused[0], "message": refused[1]}, file)
    sys.exit(refused[1])
memory = os.memfd_create("tasks", 0)
with open(memory, "wb", closefd=False) as file:
    file.write(code)
sys.argv = ["/proc/self/fd/%d" % memory, *arguments]
sys.path[:] = [entry for entry in sys.path if entry]
runpy.run_path(sys.argv[0], run_name="__main__")
