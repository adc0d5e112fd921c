-- Each line of a batch has its outcome: its files are written next. One that is being cancelled stays
-- that.
--
-- ARGV  1 epoch
-- RETURN 'ok', 'gone', 'fenced' or 'conflict': one of them has none

local refused, state = refusal(ARGV[1])
if refused then
  return refused
end
if state == 'validating' or OVER[state] or not has_all_outcomes() then
  return 'conflict'
end
if state == 'in_progress' then
  become('finalizing')
end
return 'ok'
