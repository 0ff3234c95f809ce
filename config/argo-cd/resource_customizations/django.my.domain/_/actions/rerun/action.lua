-- Asks for a new run, as `kubectl annotate` would.
if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["django.my.domain/requestedAt"] = os.date("!%Y-%m-%dT%XZ")
return obj
