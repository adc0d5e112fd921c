-- Stands before the scripts of quotas: what they share.
--
-- A key *holds* a place for each of its open jobs, with the tokens that were taken for it and the day
-- (of UTC) on which they were. Jobs of batches are held without a place. Whoever takes a hold away settles it, so that nothing is given back
-- twice.
--
-- KEYS  1 holds: jobs by their latest possible end, 2 held tokens: `<day> <tokens> <writer> …` by job,
--       3 the day and what is used of it, 4 those without a place, by their latest possible end

local DAY_MS = 86400000

local function day_of(now)
  return math.floor(now / DAY_MS)
end

local function whole(number)
  return string.format('%d', number)
end

-- What is used of this day, once it was read, and whether that is to begin.
local used, is_new_day

local function used_today(now)
  if not used then
    local known = redis.call('HMGET', KEYS[3], 'day', 'used')
    is_new_day = tonumber(known[1]) ~= day_of(now)
    used = not is_new_day and tonumber(known[2]) or 0
  end
  return used
end

local function left_of_day(now)
  return (day_of(now) + 1) * DAY_MS - now
end

local function charge(tokens, now)
  used = math.max(0, used_today(now) + tokens)
  if not is_new_day then
    redis.call('HSET', KEYS[3], 'used', whole(used))
    return
  end
  redis.call('HSET', KEYS[3], 'day', whole(day_of(now)), 'used', whole(used))
  redis.call('PEXPIRE', KEYS[3], left_of_day(now))
  is_new_day = false
end

-- Takes a hold away; `spent` is nil where all that was taken counts as used. What was taken on another
-- day is over with it.
local function settle(job_id, spent, now)
  if redis.call('ZREM', KEYS[1], job_id) == 0 and redis.call('ZREM', KEYS[4], job_id) == 0 then
    return 0
  end
  local held = redis.call('HGET', KEYS[2], job_id) or ''
  redis.call('HDEL', KEYS[2], job_id)
  local day, taken = string.match(held, '^(%d+) (%d+)')
  if spent and tonumber(day) == day_of(now) then
    charge(spent - tonumber(taken), now)
  end
  return 1
end
