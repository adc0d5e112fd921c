-- Takes a place and tokens for a job that is about to be written, unless a limit of its key is against
-- it. One that has a place keeps it. Holds whose jobs must have ended are let go first, as if these had
-- never run: a job that was written is closed, and its hold settled, before that.
--
-- ARGV  1 job id, 2 how long it may be open at most (ms), 3 tokens, 4 jobs at once or '', 5 tokens in a
--       day or '', 6 who writes it: a name without spaces, 7 1 if it takes no place, or 0
-- RETURN {'entered', 'known', or what is against it: 'concurrency', 'tokens'; tokens used today; ms
--         until tomorrow}

-- Of those that are overdue, how many are let go at once.
local OVERDUE_MAX = 1000

local now = now_ms()
local held_in = ARGV[7] == '1' and KEYS[4] or KEYS[1]
for _, id in ipairs(redis.call('ZRANGEBYSCORE', held_in, '-inf', whole(now), 'LIMIT', 0, OVERDUE_MAX)) do
  settle(id, 0, now)
end

local function answer(outcome)
  return { outcome, used_today(now), left_of_day(now) }
end

local job_id, open_ms, tokens = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
if redis.call('ZSCORE', held_in, job_id) then
  -- Whoever gives up must not take it from the others who write the same job.
  redis.call('HSET', KEYS[2], job_id, redis.call('HGET', KEYS[2], job_id) .. ' ' .. ARGV[6])
  return answer('known')
end
if ARGV[7] == '0' and ARGV[4] ~= '' and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[4]) then
  return answer('concurrency')
end
if ARGV[5] ~= '' and used_today(now) + tokens > tonumber(ARGV[5]) then
  return answer('tokens')
end
redis.call('ZADD', held_in, whole(now + open_ms), job_id)
redis.call('HSET', KEYS[2], job_id, whole(day_of(now)) .. ' ' .. whole(tokens) .. ' ' .. ARGV[6])
for _, name in ipairs({ held_in, KEYS[2] }) do
  if redis.call('PTTL', name) < open_ms then
    -- For longer, so that it need not be said for each job.
    redis.call('PEXPIRE', name, 2 * open_ms)
  end
end
charge(tokens, now)
return answer('entered')
