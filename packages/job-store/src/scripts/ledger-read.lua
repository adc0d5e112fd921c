-- Reads the load of a tier.
--
-- ARGV  1 waiting jobs above which the alert is raised, or '' to leave that as it is
-- RETURN load, see `load_now`

if ARGV[1] ~= '' then
  set('alert_above', ARGV[1])
  alert()
  save()
end
return load_now(now_ms())
