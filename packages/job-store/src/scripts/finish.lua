-- The current attempt ends the job: its last events, the terminal one, the result and the state.
--
-- Sending the same call again is harmless, and answered alike: who has ended the job is told by its
-- terminal event, as the sweep may have ended it in the same way. A job that shall be cancelled ends
-- in no other way.
--
-- KEYS  1 job, 2 log, where it is of the same server and the job is to be in it also 3 the jobs that have
--       ended by when their records go
-- ARGV  1 job id, 2 attempt, 3 first seq, 4 terminal state, 5 terminal event, 6 token of its claim,
--       7 its name among those that have ended, 8 number of fields (at least one), then field, value, …, then type,
--       json, token ids (or ''), … of the events before the terminal one
-- RETURN 'ok', 'cancel' (refused, because the job shall be cancelled) or 'superseded' (refused)

local record = redis.call('HMGET', KEYS[1], 'state', 'attempt', 'seq', 'followers', 'cancel', 'claim', 'final', 'untold')
if record[2] ~= ARGV[2] then
  return 'superseded'
end
if record[1] == ARGV[4] then
  return record[7] == ARGV[5] and 'ok' or 'superseded'
end
if record[1] ~= 'running' then
  return 'superseded'
end
if record[6] ~= ARGV[6] then
  return 'superseded'
end
if record[5] == '1' and ARGV[4] ~= 'cancelled' then
  return 'cancel'
end

local seq, first, followers = tonumber(record[3]), tonumber(ARGV[3]), record[4]
if first ~= seq + 1 then
  return redis.error_reply('GAP job is at ' .. seq .. ', events begin at ' .. first)
end
local events_from, lines = 9 + 2 * tonumber(ARGV[8]), { record[8] or nil }
for i = events_from, #ARGV, 3 do
  seq = seq + 1
  lines[#lines + 1] = log_event(KEYS[2], ARGV[1], seq, ARGV[i], ARGV[i + 1], ARGV[i + 2])
end
local fields = { unpack(ARGV, 9, events_from - 1) }
local kept_until = conclude(KEYS[1], KEYS[2], ARGV[1], seq + 1, ARGV[4], ARGV[5], followers, lines, fields)
if KEYS[3] then
  redis.call('ZADD', KEYS[3], kept_until, ARGV[7])
end
return 'ok'
