-- As kstatus has it, by the conditions Ready, Stalled and Suspended; a request by annotation counts as a change of the spec.
local health = {status = "Progressing", message = "Waiting for the operator"}
if obj.metadata.deletionTimestamp ~= nil then
  health.message = "Being deleted"
  return health
end
local status = obj.status or {}
if status.observedGeneration ~= obj.metadata.generation then
  return health
end
local ready, reconciling, stalled, suspended
for _, condition in ipairs(status.conditions or {}) do
  if condition.type == "Ready" then ready = condition end
  if condition.type == "Reconciling" and condition.status == "True" then reconciling = condition end
  if condition.type == "Stalled" and condition.status == "True" then stalled = condition end
  if condition.type == "Suspended" and condition.status == "True" then suspended = condition end
end
local requested = (obj.metadata.annotations or {})["django.my.domain/requestedAt"]
if requested ~= nil and requested ~= status.lastHandledRequest and not suspended and not stalled then
  health.message = "Waiting for the run that was asked for"
  return health
end
if ready ~= nil then
  health.message = ready.message
end
if stalled ~= nil then
  health.status = "Degraded"
  health.message = stalled.message
elseif ready ~= nil and ready.status == "True" then
  health.status = "Healthy"
elseif suspended ~= nil and reconciling == nil then -- else a run from before goes on
  health.status = "Suspended"
end
return health
