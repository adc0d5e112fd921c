-- Enters a job that is to wait, unless a limit is against it. One that is entered already stays as it
-- is.
--
-- ARGV  1 job id, 2 class, 3 tokens, 4 '1' if fallback brings it, or '0', 5 owner, then the limits,
--       each '' for none: 6 waiting jobs of the tier, 7 tokens ahead of it, 8 '1' if it may not enter
--       while the alert is up, 9 jobs that fallback has brought, 10 waiting batch jobs of the tier, and
--       11 ms in which it must be started, or ''
-- RETURN {'entered' or what is full: 'depth', 'alert', 'fallback', 'wait', 'window'; priority, or 0; now;
--         jobs ahead of it, tokens ahead of it; load as it was found, see `load_now`}

local job_id, class, owner = ARGV[1], ARGV[2], ARGV[5]
local now = now_ms()
local entry = { state = 'w', class = class, tokens = tonumber(ARGV[3]), fallback = tonumber(ARGV[4]),
  at = string.format('%d', now), due = '0', owner = owner }
if ARGV[11] ~= '' then
  entry.due = string.format('%d', now + tonumber(ARGV[11]))
end
local found = load_now(now)

-- Moves the tags of a class down, so that the one of the job started last becomes 0.
local function rebase(v)
  local first = FIRST[class] + 1
  local from, to = score(class, 0), score(class, TAG_MAX)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], from, to)) do
    redis.call('ZADD', KEYS[2], math.max(from, redis.call('ZSCORE', KEYS[2], id) - v), id)
  end
  local lowest = string.format('%.0f', first * BULLMQ_PRIORITY)
  local highest = string.format('%.0f', (first + TAG_MAX + 1) * BULLMQ_PRIORITY)
  local queued = redis.call('ZRANGEBYSCORE', QUEUE[class], lowest, '(' .. highest, 'WITHSCORES')
  for i = 1, #queued, 2 do
    -- Its counter keeps the order of those that come to be equal.
    local number = tonumber(queued[i + 1])
    local counter = number % BULLMQ_PRIORITY
    local priority = math.max(first, (number - counter) / BULLMQ_PRIORITY - v)
    redis.call('ZADD', QUEUE[class], string.format('%.0f', priority * BULLMQ_PRIORITY + counter), queued[i])
  end
  local tags = redis.call('HGETALL', TAGS[class])
  for i = 1, #tags, 2 do
    if tonumber(tags[i + 1]) < v then
      redis.call('HDEL', TAGS[class], tags[i])
    else
      redis.call('HINCRBY', TAGS[class], tags[i], -v)
    end
  end
  set('v:' .. class, false)
end

local function next_tag()
  local v, last = count('v:' .. class), tonumber(redis.call('HGET', TAGS[class], owner))
  return math.max(v, last and last + 1 or 0), v
end

local function ahead_of(place)
  local base = OFFSET[class] + FIRST[class]
  local all = waiting(class)
  local jobs = all == 0 and 0 or redis.call('ZCOUNT', KEYS[2], base, place)
  local tokens = all == 0 and 0 or count('w:' .. class .. ':tokens') * jobs / all
  for _, higher in ipairs(CLASSES) do
    if higher == class then
      break
    end
    jobs = jobs + waiting(higher)
    tokens = tokens + count('w:' .. higher .. ':tokens')
  end
  return jobs, math.floor(tokens + 0.5)
end

local function answer(outcome, place, jobs, tokens)
  return { outcome, place == 0 and 0 or place - OFFSET[class], now, jobs, tokens, unpack(found) }
end

local known = redis.call('HGET', KEYS[1], job_id)
if known then
  local place = tonumber(redis.call('ZSCORE', KEYS[2], job_id) or OFFSET[class] + FIRST[class])
  local jobs, tokens = ahead_of(place)
  return answer('entered', place, math.max(0, jobs - 1), math.max(0, tokens - entry.tokens))
end

local tag, v = next_tag()
if tag > TAG_MAX and v > 0 then
  rebase(v)
  tag = next_tag()
end
-- Nobody has so many waiting; if so, they wait in the order in which they came.
tag = math.min(tag, TAG_MAX)
local place = score(class, tag)
local jobs, tokens = ahead_of(place)

local depth = waiting('interactive') + waiting('standard') + waiting('batch')
local full
if ARGV[6] ~= '' and depth >= tonumber(ARGV[6]) then
  full = 'depth'
elseif ARGV[8] == '1' and count('alert') == 1 then
  full = 'alert'
elseif ARGV[9] ~= '' and count('fallback') >= tonumber(ARGV[9]) then
  full = 'fallback'
elseif ARGV[7] ~= '' and tokens > tonumber(ARGV[7]) then
  full = 'wait'
elseif ARGV[10] ~= '' and waiting('batch') >= tonumber(ARGV[10]) then
  full = 'window'
end
if full then
  save()
  return answer(full, 0, jobs, tokens)
end

write(job_id, entry)
tally(entry, 1)
add('fallback', entry.fallback)
redis.call('ZADD', KEYS[2], place, job_id)
redis.call('HSET', TAGS[class], owner, tag)
arrived(class, entry.tokens, now)
alert()
save()
return answer('entered', place, jobs, tokens)
