-- Stands before the scripts of the ledger: what they share.
--
-- The ledger of a tier has an entry for each job in its system, and counters. Counters change only
-- together with an entry, in one script, so they are what a count of the entries would give.
--
-- KEYS  1 entries (hash), 2 order of those that wait (sorted set), 3 counters (hash),
--       4 to 6 last tag by owner (hash) of interactive, standard and batch, 7 and 8 BullMQ's sorted
--       sets of entries that wait: of the foreground queue and of the batch queue
--
-- An entry is `<w|r> <class> <tokens> <1 if brought by fallback, or 0> <since when> <when it must be
-- started, or 0> <owner>`: it waits or runs.
--
-- Fair order in a class is start-time fair queueing with a cost of 1 (Goyal, Vin and Cheng, 1996): a
-- job's tag is one more than its owner's last, but not less than that of the job that was started
-- last. A job is ordered by its priority: the first of its class, one for jobs that come back, then
-- the tags.

local CLASSES = { 'interactive', 'standard', 'batch' }
-- BullMQ priorities go from 1 to 2^21 - 1, lower first, in each of its queues.
local FIRST = { interactive = 1, standard = 1000000, batch = 1 }
-- Between two classes' firsts, and in the order of all that waits.
local BAND = 1000000
local OFFSET = { interactive = 0, standard = 0, batch = 2 * BAND }
local TAG_MAX = BAND - 3
local TAGS = { interactive = KEYS[4], standard = KEYS[5], batch = KEYS[6] }
local QUEUE = { interactive = KEYS[7], standard = KEYS[7], batch = KEYS[8] }
-- BullMQ's score is priority * 2^32 + a counter.
local BULLMQ_PRIORITY = 4294967296
-- After so many starts of interactive jobs one is given to standard, if any waits; sooner, where the
-- first of those that wait has used up half of its time. What interactive jobs were promised a moment
-- ago by the larger share must bear the smaller one.
local STARTS_BEFORE_STANDARD = 9
local STARTS_BEFORE_LATE = 3
-- What arrives is averaged over a short and a long time, and the larger average counts: whoever promises
-- a time by what is left beside it must see a burst at once, and not forget it at once.
local ARRIVAL_MS = { 2500, 10000 }
-- Of waiting jobs, where nobody has said how many workers there are.
local ALERT_ABOVE = 15

local function count(name)
  return tonumber(redis.call('HGET', KEYS[3], name) or 0)
end

local function add(name, by)
  return redis.call('HINCRBY', KEYS[3], name, string.format('%d', by))
end

local function parse(entry)
  local state, class, tokens, fallback, at, due, owner =
    string.match(entry, '^(%a) (%a+) (%d+) (%d) (%d+) (%d+) (.*)$')
  return { state = state, class = class, tokens = tonumber(tokens), fallback = tonumber(fallback),
    at = at, due = due, owner = owner }
end

local function write(job_id, entry)
  local parts = { entry.state, entry.class, string.format('%d', entry.tokens), entry.fallback, entry.at, entry.due, entry.owner }
  redis.call('HSET', KEYS[1], job_id, table.concat(parts, ' '))
end

-- Counts an entry in its state (`sign` 1) or out of it (-1).
local function tally(entry, sign)
  add(entry.state .. ':' .. entry.class .. ':jobs', sign)
  add(entry.state .. ':' .. entry.class .. ':tokens', sign * entry.tokens)
end

local function waiting(class)
  return count('w:' .. class .. ':jobs')
end

-- The alert is raised above the threshold and cleared at half of it. Batch work waits by design.
local function alert()
  local above, jobs = tonumber(redis.call('HGET', KEYS[3], 'alert_above') or ALERT_ABOVE), waiting('interactive') + waiting('standard')
  if jobs > above then
    redis.call('HSET', KEYS[3], 'alert', 1)
  elseif jobs <= above / 2 then
    redis.call('HDEL', KEYS[3], 'alert')
  end
end

-- Where a job of this tag stands among all that waits.
local function score(class, tag)
  return OFFSET[class] + FIRST[class] + 1 + tag
end

-- After a waiting entry was taken out of the order.
local function left_order(class)
  if waiting(class) == 0 then
    redis.call('DEL', TAGS[class])
    redis.call('HDEL', KEYS[3], 'v:' .. class)
  end
end

-- Cost of what has arrived, fading away over this time.
local function faded(class, over_ms, now)
  local at = count('arrived_at:' .. class)
  return count('arrived:' .. class .. ':' .. over_ms) * math.exp((at - now) / over_ms)
end

-- The same per second.
local function arriving(class, now)
  local rate = 0
  for _, over_ms in ipairs(ARRIVAL_MS) do
    rate = math.max(rate, faded(class, over_ms, now) * 1000 / over_ms)
  end
  return rate
end

local function arrived(class, tokens, now)
  local fields = { 'arrived_at:' .. class, now }
  for _, over_ms in ipairs(ARRIVAL_MS) do
    fields[#fields + 1] = 'arrived:' .. class .. ':' .. over_ms
    fields[#fields + 1] = string.format('%.3f', faded(class, over_ms, now) + tokens)
  end
  redis.call('HSET', KEYS[3], unpack(fields))
end

-- Whether the first standard job that waits has used up half of its time.
local function standard_is_late(now)
  local from = FIRST.standard
  local head = redis.call('ZRANGEBYSCORE', KEYS[2], from, from + BAND - 1, 'LIMIT', 0, 1)[1]
  local found = head and redis.call('HGET', KEYS[1], head)
  local entry = found and parse(found)
  return entry and entry.due ~= '0' and 2 * now > entry.at + entry.due or false
end

-- {waiting jobs, waiting tokens, running jobs, running tokens, arriving tokens/s} of each class, then
-- the number of jobs that fallback has brought, 1 while the alert is up, 1 while standard is late.
local function load_now(now)
  local load = {}
  for _, class in ipairs(CLASSES) do
    for _, name in ipairs({ 'w:' .. class .. ':jobs', 'w:' .. class .. ':tokens', 'r:' .. class .. ':jobs', 'r:' .. class .. ':tokens' }) do
      load[#load + 1] = count(name)
    end
    load[#load + 1] = math.floor(arriving(class, now) + 0.5)
  end
  load[#load + 1] = count('fallback')
  load[#load + 1] = count('alert')
  load[#load + 1] = standard_is_late(now) and 1 or 0
  return load
end
