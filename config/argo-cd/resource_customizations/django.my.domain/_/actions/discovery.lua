local actions = {}
local suspended = obj.spec ~= nil and obj.spec.suspend == true
actions["rerun"] = {["disabled"] = suspended, ["iconClass"] = "fa fa-fw fa-redo", ["displayName"] = "Run again"}
actions["suspend"] = {["disabled"] = suspended, ["iconClass"] = "fa fa-fw fa-pause", ["displayName"] = "Suspend"}
actions["resume"] = {["disabled"] = not suspended, ["iconClass"] = "fa fa-fw fa-play", ["displayName"] = "Resume"}
return actions
