-- The current attempt appends events.
--
-- Sending the same call again is harmless: `first seq` tells whether it has been applied.
--
-- A failover may lose a claim, whose number another one then gets: an attempt is known by both.
--
-- KEYS  1 job, 2 log
-- ARGV  1 job id, 2 attempt, 3 first seq, 4 tokens that this and earlier attempts have made, or
--       'unknown', 5 token of its claim, 6.. type, json, token ids (or ''), type, …
-- RETURN 'ok', 'cancel' (applied, and the job shall be cancelled) or 'superseded' (refused)

local record = redis.call('HMGET', KEYS[1], 'state', 'attempt', 'seq', 'followers', 'cancel', 'claim')
if record[1] ~= 'running' or record[2] ~= ARGV[2] then
  return 'superseded'
end
if record[6] ~= ARGV[5] then
  return 'superseded'
end
local seq, first, followers = tonumber(record[3]), tonumber(ARGV[3]), record[4]
if first > seq + 1 then
  return redis.error_reply('GAP job is at ' .. seq .. ', events begin at ' .. first)
end
if first == seq + 1 then
  for i = 6, #ARGV, 3 do
    seq = seq + 1
    followers = emit(KEYS[2], ARGV[1], seq, ARGV[i], ARGV[i + 1], followers, ARGV[i + 2])
  end
  redis.call('HSET', KEYS[1], 'seq', seq, 'streamed', '1', 'tokens_made', ARGV[4], 'followers', followers)
end
return record[5] == '1' and 'cancel' or 'ok'
